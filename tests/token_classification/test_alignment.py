"""From entities to tags and back: what is learned is what is found."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from hft_core import Columns, Ragged, Reader, RowRandom, Stream
from hft_core.runtime.driver import predict
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.readers.conll import ConllReader
from hft_plugins.token_classification.objective import Tagging
from hft_plugins.token_classification.task import UNLABELLED, TokenClassification
from hft_plugins.token_classification.words import words

RoundTrip = Callable[..., tuple[list[Any], list[Any]]]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
@pytest.mark.parametrize("max_length", [512, 40, 12])
@pytest.mark.parametrize("overlap", [0, 3, 32])
def test_entities_come_back(
    kind: str, max_length: int, overlap: int, make_rows: Any, make_encoder: Any, round_trip: RoundTrip
) -> None:
    columns = make_rows(120, longest=30 if max_length < 100 else 12)
    preprocessor = make_encoder(kind, columns["text"], max_length, size=300)  # few merges: none over a border
    if max_length < 100:
        windows = preprocessor.windows(columns["text"], overlap)["row"]
        assert np.bincount(windows).max() > 5
    found, true = round_trip(columns, preprocessor, overlap=overlap)
    assert found == true


def crossed(text: str, truth: Any, preprocessor: TextPreprocessor) -> bool:
    """Whether a border of an entity lies within a token, straight from the tokenizer."""
    tokenizer = Tokenizer.from_str(preprocessor.tokenizer.to_str())
    tokenizer.no_truncation()
    within: set[int] = set()
    for start, end in tokenizer.encode(text).offsets:
        inner = text[start:end]
        start += len(inner) - len(inner.lstrip())
        within.update(range(start + 1, end))
    return any(place in within for one in truth["entities"] for place in (one["start"], one["end"]))


def of_file(path: Path) -> Columns:
    columns: Columns = {"text": [], "entities": []}
    reader: Reader = ConllReader(type="conll", path=path)
    for part in reader.read():
        for name, values in part.columns.items():  # type: ignore[union-attr]  # these files have no bad line
            columns[name] += values
    return columns


@pytest.mark.parametrize("file", ["wnut17/emerging.dev.conll", "resume_ner/dev.char.bmes"])
@pytest.mark.parametrize("max_length", [512, 24])
def test_every_real_sentence_comes_back_from_wordpiece(
    file: str, max_length: int, data_dir: Path, make_encoder: Any, round_trip: RoundTrip
) -> None:
    columns = of_file(data_dir / file)
    found, true = round_trip(columns, make_encoder("wordpiece", columns["text"], max_length, size=2000))
    assert found == true
    assert sum(len(row["entities"]) for row in true) > 800


@pytest.mark.parametrize(("file", "most"), [("wnut17/emerging.dev.conll", 0), ("resume_ner/dev.char.bmes", 92)])
def test_every_real_sentence_comes_back_from_bpe_unless_a_token_crosses_a_border(
    file: str, most: int, data_dir: Path, make_encoder: Any, round_trip: RoundTrip
) -> None:
    columns = of_file(data_dir / file)
    preprocessor = make_encoder("bpe", columns["text"], 24, size=1000)
    found, true = round_trip(columns, preprocessor)
    differing = [row for row in range(len(true)) if found[row] != true[row]]
    assert all(crossed(columns["text"][row], true[row], preprocessor) for row in differing)
    assert len(differing) <= most  # BPE merges over the borders of words where there are no spaces


MARKS = "\u0301\u0300\u0323\u200d"


def is_of_word(character: str) -> bool:
    """What a word is a run of, among the characters of the test below."""
    return character in "abcé1" or character in MARKS


def word_places(text: str, preprocessor: TextPreprocessor) -> list[tuple[int, int]]:
    """The words by definition, token by token: start, and end without the space behind."""
    found: list[list[int]] = []
    for start, end in preprocessor.tokenizer.encode(text).offsets:
        inner = text[start:end]
        start += len(inner) - len(inner.lstrip())
        end = start + len(inner.strip())
        if start == end or (found and start < found[-1][1]):
            continue  # a special token, or the next byte of the same character
        if found and all(map(is_of_word, text[found[-1][1] - 1 : start + 1])):
            found[-1][1] = end
        else:
            found.append([start, end])
    for number, place in enumerate(found):  # what no token stands for
        limit = found[number + 1][0] if number + 1 < len(found) else len(text)
        while place[1] < limit and not text[place[1]].isspace():
            place[1] += 1
    return [(start, end) for start, end in found]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_entities_between_any_words_come_back(kind: str, make_encoder: Any, round_trip: RoundTrip) -> None:
    """Letters, spaces, joiners and marks in any order, Chinese, Thai, emoji: 300 texts."""
    draw = random.Random(0)
    alphabet = [*"abcé1  \u3000\n国王文กที่ำ😀-.\u200d", *MARKS, "👩\u200d👩", "👍🏽"]
    texts = ["\u3000\u200db国"]
    texts += ["".join(draw.choices(alphabet, k=draw.randint(1, 14))) for _ in range(299)]
    preprocessor = make_encoder(kind, ["abcé1 国 王 文 ก ท 😀 👩 👍 - ."], size=300)
    columns: Columns = {"text": texts, "entities": []}
    for text in texts:
        places = word_places(text, preprocessor)
        entities, at = [], 0
        while at < len(places):
            last = min(at + draw.randint(0, 2), len(places) - 1)
            if draw.random() < 0.6:
                entities.append({"start": places[at][0], "end": places[last][1], "type": draw.choice("xy")})
            at = last + 1
        columns["entities"].append(entities)
    assert sum(map(len, columns["entities"])) > 300
    found, true = round_trip(columns, preprocessor)
    assert found == true


KEPT_BY_BYTES = {
    "a\u200b b": ["a", "\u200b", "b"],
    "a \u200bb": ["a", "\u200b", "b"],
    "\u3000\u200db国": ["\u200db", "国"],
    "a \u200db": ["a", "\u200db"],
    "国\u200db": ["国", "\u200db"],
    "a \u0301b": ["a", "\u0301b"],
}
"""Words where a byte-level tokenizer, which loses nothing, has others than one that drops invisible marks."""


def spans(text: str, preprocessor: TextPreprocessor) -> list[str]:
    arrays = preprocessor.windows([text], offsets=True)
    offsets = arrays["offsets"]
    assert isinstance(offsets, Ragged)
    found = words([text], offsets, np.asarray(arrays["row"]))
    return [text[start:end] for start, end in zip(found.start, found.end, strict=True)]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unbelievably 1234567", ["unbelievably", "1234567"]),
        ("  Zürich's\tend ", ["Zürich", "'", "s", "end"]),
        ("cafe\u0301s x", ["cafe\u0301s", "x"]),
        ("吴x重2阳", ["吴", "x", "重", "2", "阳"]),
        ("서울에서", ["서", "울", "에", "서"]),
        ("a\u200b b", ["a\u200b", "b"]),
        ("a \u200bb", ["a", "b"]),
        ("\u3000\u200db国", ["b", "国"]),
        ("a \u200db", ["a", "b"]),
        ("国\u200db", ["国\u200d", "b"]),
        ("a \u0301b", ["a", "b"]),
        ("नमस्ते x", ["नमस्ते", "x"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_words(kind: str, text: str, expected: list[str], make_encoder: Any) -> None:
    preprocessor = make_encoder(kind, ["abc 吴重阳 서 울 에 न"], size=300)  # next to no merges
    if kind == "wordpiece" and "서" in text:
        expected = [text]  # one piece that the vocabulary lacks
    if kind == "bpe":
        expected = KEPT_BY_BYTES.get(text, expected)
    assert spans(text, preprocessor) == expected


def test_spaces_that_a_tokenizer_counts_to_a_token_are_none_of_the_word() -> None:
    tokenizer = Tokenizer(models.WordLevel({"▁New": 0, "▁York": 1, "<unk>": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    settings = {"max_length": 64, "pad_id": 2, "padding_side": "right", "inputs": ["input_ids"], "special": {"unk": 2}}
    assert spans("New York", TextPreprocessor(tokenizer, settings)) == ["New", "York"]


def test_a_word_without_a_known_piece_is_passed_over() -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))  # other characters vanish
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    settings = {"max_length": 64, "pad_id": 0, "padding_side": "right", "inputs": ["input_ids"], "special": {"pad": 0}}
    preprocessor = TextPreprocessor(tokenizer, settings)
    assert spans("a ☃ b☃", preprocessor) == ["a", "b☃"]


def test_a_text_that_begins_within_a_word_begins_a_word() -> None:
    offsets = Ragged(np.array([[0, 1], [1, 2]], np.int32), np.array([0, 1, 2]))  # no token for the z
    found = words(["b", "za"], offsets, np.array([0, 1]))
    assert [(found.row[i], found.start[i], found.end[i]) for i in range(2)] == [(0, 0, 1), (1, 3, 4)]


def test_each_word_is_decided_where_it_has_most_context(make_encoder: Any) -> None:
    text = " ".join(f"w{number}" for number in range(40))
    preprocessor = make_encoder("wordpiece", [text] * 3, 20, size=400)
    arrays = preprocessor.windows([text], 8, offsets=True)
    offsets = arrays["offsets"]
    found = words([text], offsets, arrays["row"])
    entry = np.searchsorted(offsets.offsets, found.token, side="right") - 1
    place = found.token - offsets.offsets[entry]
    edge = np.minimum(place, offsets.lengths[entry] - 1 - place)
    inner = (found.start > 40) & (found.start < len(text) - 40)
    assert len(found.start) == 40
    assert edge[inner].min() >= 4  # half of the overlap
    assert (np.diff(entry) >= 0).all()


def test_a_word_that_is_entity_in_part_is_tagged_as_a_whole(make_encoder: Any, round_trip: RoundTrip) -> None:
    columns = {"text": ["the Parisians left"], "entities": [[{"start": 4, "end": 9, "type": "place"}]]}
    found, _ = round_trip(columns, make_encoder("wordpiece", columns["text"]))
    assert found == [{"entities": [{"start": 4, "end": 13, "type": "place"}]}]


def tagged(text: str, tags: list[str], preprocessor: TextPreprocessor) -> list[tuple[str, str]]:
    """Decode the tags of a text's words."""
    task = TokenClassification(type="token-classification")
    facts: dict[str, Any] = {"labels": ["O", "B-a", "I-a", "B-b", "I-b"], "types": ["a", "b"], "counts": [1, 1]}
    columns: Columns = {"text": [text]}
    arrays = task.encode(columns, preprocessor, facts)
    offsets = arrays["offsets"]
    assert isinstance(offsets, Ragged)
    logits = np.zeros((len(offsets.values), 5))
    found = words([text], offsets, np.asarray(arrays["row"]))
    logits[found.token, [facts["labels"].index(tag) for tag in tags]] = 9.0
    [prediction] = task.decode(columns, arrays, {"logits": Ragged(logits, offsets.offsets)}, facts)
    for one in prediction["entities"]:
        assert one["text"] == text[one["start"] : one["end"]]
        assert one["score"] == pytest.approx(np.exp(9) / (np.exp(9) + 4))
    return [(one["text"], one["type"]) for one in prediction["entities"]]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-a I-a O B-b", [("one two", "a"), ("four", "b")]),
        ("I-a I-a I-b I-b", [("one two", "a"), ("three four", "b")]),
        ("B-a B-a I-b B-b", [("one", "a"), ("two", "a"), ("three", "b"), ("four", "b")]),
        ("O I-a B-b I-a", [("two", "a"), ("three", "b"), ("four", "a")]),
        ("O O O O", []),
    ],
)
def test_tags_that_do_not_follow_are_repaired(tags: str, expected: list[Any], make_encoder: Any) -> None:
    assert tagged("one two three four", tags.split(), make_encoder("wordpiece", ["one two three four"])) == expected


def test_an_entity_ends_with_its_text(make_encoder: Any) -> None:
    task = TokenClassification(type="token-classification")
    facts = {"labels": ["O", "B-a", "I-a"], "types": ["a"], "counts": [1]}
    columns = {"text": ["one", "two"]}
    arrays = task.encode(columns, make_encoder("wordpiece", ["one two"]), facts)
    ids = arrays["input_ids"]
    assert isinstance(ids, Ragged)
    logits = np.zeros((len(ids.values), 3))
    logits[:, 2] = 9
    found = task.decode(columns, arrays, {"logits": Ragged(logits, ids.offsets)}, facts)
    assert [[one["text"] for one in row["entities"]] for row in found] == [["one"], ["two"]]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_padding_on_either_side(side: str, kind: str, make_rows: Any, make_encoder: Any) -> None:
    """Through the driver, as at predict time, and through the objective, as in training: both see the same tokens."""
    columns = make_rows(30, seed=1)
    columns["text"].append("")
    columns["entities"].append([])
    preprocessor = make_encoder(kind, columns["text"], 24, size=300)
    preprocessor.padding_side = side
    task = TokenClassification(type="token-classification", overlap=6)
    facts = task.learn([columns])
    memory: dict[tuple[int, ...], Any] = {}
    arrays = task.encode(columns, preprocessor, facts)
    ids, labels = arrays["input_ids"], task.targets(columns, arrays, facts)["labels"]
    assert isinstance(ids, Ragged)
    assert isinstance(labels, Ragged)
    for entry in range(len(labels)):
        memory[tuple(ids[entry])] = labels[entry]

    def call(graph: str, input_ids: Any, attention_mask: Any, **others: Any) -> dict[str, Any]:
        logits = np.full((*input_ids.shape, 5), np.inf, np.float32)  # what stands at padding must not matter
        for row, (ids, mask) in enumerate(zip(input_ids, attention_mask, strict=True)):
            kept = mask.astype(bool)
            logits[row][kept] = np.eye(5)[np.maximum(memory[tuple(ids[kept])], 0)]
        return {"logits": logits}

    found = predict(task, columns, preprocessor, facts, call, batch_size=7).predictions
    places = [[(one["start"], one["end"], one["type"]) for one in row["entities"]] for row in found]
    truths = [
        [(one["start"], one["end"], one["type"]) for one in row["entities"]] for row in task.truths(columns, facts)
    ]
    assert places == truths
    assert places[-1] == []

    objective = Tagging(type="tagging", data="train")
    stream = Stream(preprocessor, task.roles(), task, facts)
    encoded = objective.encode(columns, stream)
    assert set(encoded) == {"input_ids", "row", "labels"}
    encoded.pop("row")
    batch = objective.batch(encoded, RowRandom(0, np.arange(len(labels))), stream)
    assert batch["labels"].shape == batch["input_ids"].shape
    mask = batch["attention_mask"].astype(bool)
    assert (batch["labels"][mask] == labels.values).all()
    assert (batch["labels"][~mask] == UNLABELLED).all()
    assert objective.count(batch) == int((labels.values != UNLABELLED).sum())
