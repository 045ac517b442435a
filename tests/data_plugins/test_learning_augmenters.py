"""Augmenters that learn from the training rows or compute with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hft_core import Columns, HeadSpec, PluginError, Roles, RowRandom, TextBatch, Training
from hft_core.data.table import ROW
from hft_core.registry import load_registry
from hft_core.runtime.edits import apply
from hft_plugins.augmenters.protected import PROTECTED
from hft_plugins.augmenters.words import words

from .augmenting import CHINESE, ENGLISH, LABELS, training_of


def test_masked_words_needs_a_trained_head(folders: dict[str, Path], tmp_path: Path) -> None:
    from transformers import BertModel

    BertModel.from_pretrained(folders["bert"]).save_pretrained(tmp_path)
    for file in folders["bert"].glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    masked = load_registry().classes("augmenter")["masked-words"].model_validate({"type": "masked-words"})
    with pytest.raises(PluginError, match="no trained masked-LM head"):
        masked.editor(training_of(ENGLISH, tmp_path))


@pytest.mark.parametrize("name", ["neighbours", "masked-words"])
def test_a_fresh_model_is_not_asked(tiny: Any, hft_here: Any, name: str) -> None:
    tiny.recipe["prepare"] = {"augment": [{"type": "random-swap"}, {"type": name}]}
    outcome = hft_here("check", tiny.write())
    assert outcome.code == 2
    assert (
        f"prepare.augment.1: {name} asks the recipe's model, which is made from scratch and knows nothing"
        in outcome.err
    )
    tiny.recipe["model"]["source"] = "some/encoder"  # of the hub: nothing is fetched for a check
    assert hft_here("check", tiny.write()).code == 0


def test_masked_words_says_what_the_model_says(folders: dict[str, Path]) -> None:
    """One text, one candidate: the likeliest one-token word at the hidden place, computed here once more."""
    torch = pytest.importorskip("torch")
    masked = (
        load_registry()
        .classes("augmenter")["masked-words"]
        .model_validate({"type": "masked-words", "rate": 0.01, "candidates": 1})
    )
    training = training_of(ENGLISH, folders["bert"])
    text = ENGLISH[0]
    [[edit]] = masked.editor(training)(TextBatch([text], [[]], {}), RowRandom(9, np.arange(1)))
    assert training.net
    net, preprocessor = training.net({"masked-lm": HeadSpec("masked-lm")})
    at = [match.span() for match in words(text)].index((edit.start, edit.end))
    ids = preprocessor.encode([text])["input_ids"][0].tolist()  # type: ignore[attr-defined]
    places = [place for place, token in enumerate(ids) if preprocessor.tokenizer.id_to_token(token) not in ".,!"]  # type: ignore[attr-defined]
    place = places[at + 1]  # behind [CLS]
    ids[place] = preprocessor.settings()["special"]["mask"]
    with torch.no_grad():
        logits = net(
            "masked-lm", input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)
        )
    ranked = logits["logits"][0, place].argsort(descending=True).tolist()
    names = [preprocessor.tokenizer.id_to_token(token) for token in ranked]  # type: ignore[attr-defined]
    own = text[edit.start : edit.end].lower()
    fitting = [name for name in names if name.isalpha() and name not in PROTECTED and name != own]
    assert edit.replacement.lower() == fitting[0]


def test_neighbours_are_the_nearest_words(folders: dict[str, Path]) -> None:
    kind = load_registry().classes("augmenter")["neighbours"]
    one = kind.model_validate(
        {"type": "neighbours", "neighbours": 1, "similarity": -1, "rate": 1.0, "keep_labels": False}
    )
    training = training_of(ENGLISH, folders["bert"])
    assert training.net
    net, preprocessor = training.net({})
    weights = net.embedding().weight.detach().numpy()
    vocabulary = preprocessor.tokenizer.get_vocab()  # type: ignore[attr-defined]
    known = sorted({m[0].lower() for text in ENGLISH for m in words(text)} - PROTECTED)
    unit = {word: weights[vocabulary[word]] / np.linalg.norm(weights[vocabulary[word]]) for word in known}
    [edits] = one.editor(training)(TextBatch(["director film story"], [[]], {}), RowRandom(0, np.arange(1)))
    assert [edit.replacement for edit in edits] == [
        max((other for other in known if other != word), key=lambda other: float(unit[word] @ unit[other]))
        for word in ("director", "film", "story")
    ]


def test_words_that_go_with_a_label_stay(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("film\tmovie|picture\nsuperb\tfine|dull\nroom\tchamber\n")
    kind = load_registry().classes("augmenter")["synonyms"]
    texts = ["superb film picture", "superb film picture", "superb film picture", "superb room",
             "dull film", "dull film", "dull film", "dull room"]  # fmt: skip
    batch: Columns = {"text": texts, "label": ["a"] * 4 + ["b"] * 4, ROW: list(range(8))}
    training = Training(lambda: iter([batch]), Roles(text=("text",)), "label")
    settings = {"type": "synonyms", "table": table, "rate": 1.0}
    found = set()
    for keep in (True, False):
        editor = kind.model_validate(settings | {"keep_labels": keep}).editor(training)
        edits = editor(TextBatch(["superb film room"] * 30, [[]] * 30, {}), RowRandom(1, np.arange(30)))
        found = {apply("superb film room", own) for own in edits}
        if keep:
            assert found == {"superb movie chamber"}  # `picture` goes with a
    assert {text.split()[0] for text in found} == {"fine", "dull"}


def test_noise_keeps_words_that_go_with_a_label_and_makes_no_word_of_the_rows(tmp_path: Path) -> None:
    kind = load_registry().classes("augmenter")["character-noise"]
    table = tmp_path / "t.tsv"
    # `film` may become `fill`, which the rows have.
    table.write_text("m\tx|l\no\tx\n好吃\t号吃\n牛肉\t妞肉\n", encoding="utf-8")
    rows = {
        "superb film fill": 1,
        "superb 好吃": 4,
        "superb 好吃 牛肉": 3,
        "dull film fill": 1,
        "dull room": 4,
        "dull 牛肉": 3,
    }
    texts = [text for text, count in rows.items() for _ in range(count)]
    batch: Columns = {"text": texts, "label": [text.split()[0] for text in texts], ROW: list(range(16))}
    training = Training(lambda: iter([batch]), Roles(text=("text",)), "label")
    for text, wanted in {
        "zoom film": {"zxom filx", "zoxm filx", "zoox filx", "zool filx"},
        "superb film": {"superb filx"},
        "好吃 牛肉": {"好吃 妞肉"},
    }.items():
        for keep in (True, False):
            settings = {"type": "character-noise", "table": table, "rate": 1.0, "keep_labels": keep}
            editor = kind.model_validate(settings).editor(training)
            edits = editor(TextBatch([text] * 60, [[]] * 60, {}), RowRandom(1, np.arange(60)))
            found = {apply(text, own) for own in edits}
            assert found <= wanted if keep else found - wanted, (text, found)


def test_sentence_mix_takes_from_the_same_label(folders: dict[str, Path]) -> None:
    mix = load_registry().classes("augmenter")["sentence-mix"].model_validate({"type": "sentence-mix"})
    for texts in (ENGLISH, CHINESE):
        editor = mix.editor(training_of(texts, folders["bert"]))
        for seed in range(10):
            batch = TextBatch(texts, [[]] * 4, {"label": LABELS})
            for row, edits in enumerate(editor(batch, RowRandom(seed, np.arange(4)))):
                for edit in edits:
                    assert edit.replacement.strip() in texts[row ^ 1]  # its neighbour has the same label
    pair = Training(roles=Roles(text=("a", "b")), label="label")
    assert mix.editor(pair)(TextBatch(["x. y."], [[]], {}), RowRandom(0, np.arange(1))) == [[]]


def test_back_translation_names_a_folder_that_is_no_model(tmp_path: Path) -> None:
    kind = load_registry().classes("augmenter")["back-translation"]
    augmenter = kind.model_validate({"type": "back-translation", "forward": tmp_path, "back": tmp_path})
    with pytest.raises(PluginError, match="cannot be loaded"):
        augmenter.editor(Training())
