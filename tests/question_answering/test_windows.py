"""Contexts in windows behind their questions: what the tokenizer itself would make of them, and the way back to characters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hft_core import RecipeError
from hft_plugins.question_answering.runtime import NO_ANSWER
from hft_plugins.question_answering.task import UNLABELLED, QuestionAnswering

TASK = QuestionAnswering(type="question-answering")


def task(**settings: Any) -> QuestionAnswering:
    return QuestionAnswering(type="question-answering", **settings)


def test_a_short_context_is_encoded_as_a_pair(make_rows: Any, make_encoder: Any) -> None:
    columns = make_rows(30, longest=3)
    preprocessor = make_encoder("wordpiece", columns["context"])
    arrays = TASK.encode(columns, preprocessor, {})
    pairs = preprocessor.encode(columns["question"], columns["context"])
    assert arrays["row"].tolist() == list(range(30))
    for name in ("input_ids", "token_type_ids"):
        assert arrays[name].values.tolist() == pairs[name].values.tolist()
        assert arrays[name].offsets.tolist() == pairs[name].offsets.tolist()


def test_windows_are_those_of_the_tokenizers_own_truncation(make_rows: Any, make_encoder: Any) -> None:
    columns = make_rows(20, longest=40)
    preprocessor = make_encoder("wordpiece", columns["context"], max_length=48)
    arrays = task(overlap=8).encode(columns, preprocessor, {})
    tokenizer = preprocessor.tokenizer
    tokenizer.enable_truncation(48, stride=8, strategy="only_second")
    wanted = []
    for row, pair in enumerate(zip(columns["question"], columns["context"], strict=True)):
        whole = tokenizer.encode(*pair)
        for part in (whole, *whole.overflowing):
            second = [half == 1 for half in part.sequence_ids]
            wanted.append(
                (row, part.ids, [span if own else None for span, own in zip(part.offsets, second, strict=True)])
            )
    assert len(wanted) == len(arrays["row"]) > 40
    for entry, (row, ids, places) in enumerate(wanted):
        assert (arrays["row"][entry], arrays["input_ids"][entry].tolist()) == (row, ids)
        found = [tuple(span) for span in arrays["offsets"][entry].tolist()]
        assert found[0] == (NO_ANSWER, NO_ANSWER)
        assert found[1:] == [place or (0, 0) for place in places[1:]]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
@pytest.mark.parametrize("max_length", [512, 48])
def test_perfect_logits_give_the_answers(
    kind: str, max_length: int, make_rows: Any, make_encoder: Any, round_trip: Any
) -> None:
    columns = make_rows(60, longest=10)
    preprocessor = make_encoder(kind, columns["context"], max_length=max_length)
    found, truths = round_trip(columns, preprocessor, overlap=16)
    assert len(TASK.encode(columns, preprocessor, {})["row"]) > 60 or max_length == 512
    for context, answer, truth in zip(columns["context"], found, truths, strict=True):
        assert answer["answer"] == context[answer["start"] : answer["end"]]
        # A mark that the tokenizer joins to a character or drops may come along.
        assert truth["answer"][0] in answer["answer"]
        assert len(answer["answer"]) <= len(truth["answer"][0]) + 2
    same = sum(answer["answer"] == truth["answer"][0] for answer, truth in zip(found, truths, strict=True))
    assert same >= (55 if kind == "wordpiece" else 40)  # pieces of bytes may begin within a character, or before it


@pytest.mark.parametrize("answer", ["北京大学", "👩‍👩‍👧 Lu", "Zoe\u0308", "𠮷野家"])
@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_an_answer_in_the_last_window(answer: str, kind: str, make_encoder: Any, round_trip: Any) -> None:
    context = "在 one 😀 e\u0301 two， " * 20 + answer + " end"
    start = context.index(answer)
    columns = {
        "context": [context, context],
        "question": ["谁？", "Who?"],
        "answers": [[{"start": start, "end": start + len(answer), "text": answer}], []],
    }
    preprocessor = make_encoder(kind, [context], max_length=64)
    found, truths = round_trip(columns, preprocessor, overlap=20)
    assert len(TASK.encode(columns, preprocessor, {})["row"]) > 4
    assert (found[0]["answer"], found[0]["start"]) == (answer, start)
    assert found[1]["answer"] is None
    assert [truth["answer"] for truth in truths] == [[answer], [None]]


def test_labels_of_windows(make_encoder: Any) -> None:
    words = [f"w{number}" for number in range(30)]
    context = " ".join(words)
    preprocessor = make_encoder("wordpiece", [context] * 9, max_length=16, size=300)
    start = context.index("w17")
    columns = {
        "context": [context, context, context],
        "question": ["w1", "w2", "w3"],
        "answers": [
            [{"start": start, "end": start + len("w17 w18"), "text": "w17 w18"}],
            [],
            [{"start": 0, "end": len(context) - 4, "text": context[:-4]}],
        ],
    }
    asked = task(overlap=4)
    arrays = asked.encode(columns, preprocessor, {})
    labels = np.asarray(asked.targets(columns, arrays, {})["labels"])
    whose = np.asarray(arrays["row"])
    held = labels[(whose == 0) & (labels[:, 1] > 0)]
    assert 1 <= len(held) < (whose == 0).sum()  # other windows have the place of no answer
    for entry in np.flatnonzero((whose == 0) & (labels[:, 1] > 0)):
        first, last = labels[entry]
        places = arrays["offsets"][entry]
        assert context[places[first, 0] : places[last, 1]] == "w17 w18"
    assert (labels[whose == 1] == 0).all()
    assert (
        labels[whose == 2] == UNLABELLED
    ).all()  # longer than any window: nothing to learn, least of all "no answer"


def test_without_special_tokens_a_window_ends_with_one_for_no_answer(make_encoder: Any) -> None:
    preprocessor = make_encoder("bpe", ["a b c d"], max_length=32)
    arrays = TASK.encode({"context": ["a b", ""], "question": ["c", "d"]}, preprocessor, {})
    end = preprocessor.special["eos"]
    for window, places in zip(range(2), (arrays["offsets"][0], arrays["offsets"][1]), strict=True):
        ids = arrays["input_ids"][window].tolist()
        assert ids.count(end) == 2
        assert (ids[-1], places[-1].tolist()) == (end, [NO_ANSWER, NO_ANSWER])


def test_a_long_question_leaves_room(make_encoder: Any) -> None:
    preprocessor = make_encoder("wordpiece", ["a b c"], max_length=32)
    columns = {"context": ["b " * 100], "question": ["c " * 100]}
    arrays = TASK.encode(columns, preprocessor, {})
    assert max(map(len, (arrays["input_ids"][entry] for entry in range(len(arrays["row"]))))) == 32
    seen = np.concatenate(
        [places[places[:, 1] > places[:, 0]] for places in (arrays["offsets"][e] for e in range(len(arrays["row"])))]
    )
    assert set(map(tuple, seen.tolist())) == {(at, at + 1) for at in range(0, 200, 2)}  # all of the context is read
    short = task(question_length=3).encode(columns, preprocessor, {})
    assert short["input_ids"][0].tolist().index(preprocessor.special["sep"]) == 4  # [CLS] and three tokens before it
    assert len(short["row"]) < len(arrays["row"])


def test_an_overlap_that_does_not_fit(make_encoder: Any) -> None:
    preprocessor = make_encoder("wordpiece", ["a b c"], max_length=32)
    with pytest.raises(RecipeError, match=r"overlap: 17.*window, which holds 32 tokens; lower it to 16"):
        task(overlap=17).encode({"context": ["a"], "question": ["b"]}, preprocessor, {})
