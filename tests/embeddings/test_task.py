"""What rows of pairs mean: columns, rows that cannot be used, and the vectors of texts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hft_core import DataError
from hft_plugins.embeddings import runtime
from hft_plugins.embeddings.task import SentenceEmbedding, SentenceSimilarity

PAIRS = SentenceEmbedding(
    type="sentence-embedding", text="question", positive="answer", negative="wrong", label="topic"
)
SCORED = SentenceSimilarity(type="sentence-similarity", range=[0, 5])
ROWS = {"question": ["a", "b"], "answer": ["x", "y"], "wrong": ["v", "w"], "topic": ["t", None]}


def test_both_texts_are_read_and_cleaned_and_a_prediction_needs_the_first() -> None:
    roles = PAIRS.bind(ROWS).roles()
    assert roles.text == ("question", "answer")
    assert roles.optional == ("answer",)
    assert roles.target == ("wrong", "topic")
    assert roles.target_texts == ("wrong",), "cleaners repair it, and no prediction reads it"
    assert roles.group == ("answer",), "rows with one answer stay in one split"


@pytest.mark.parametrize(
    ("task", "columns", "said"),
    [
        (PAIRS, {"question": [], "wrong": [], "topic": []}, "no column 'answer' for positive"),
        (PAIRS, {"question": [], "answer": []}, "no column 'wrong' for negative"),
        (PAIRS.model_copy(update={"positive": "question"}), ROWS, "text and positive are the same column 'question'"),
        (SCORED, {"text": [], "other": []}, "no column 'score' for score; its columns are text, other. Set `score:`"),
    ],
)
def test_a_column_that_is_not_there(task: Any, columns: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        task.bind(columns)


def test_rows_with_an_empty_side_are_refused() -> None:
    columns = ROWS | {"question": ["a", " "], "answer": [None, "y"], "wrong": [3, "w"]}
    assert PAIRS.refusals(columns) == ["empty-text: column 'answer'", "empty-text: column 'question'"]
    assert PAIRS.refusals(ROWS | {"wrong": [3, "w"]}) == ["not-a-text: column 'wrong'", None]


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        ("4.5", None), (0, None), (5, None),
        ("5.1", "score-out-of-range: 5.1, not in [0.0, 5.0]"), (-0.1, "score-out-of-range: -0.1, not in [0.0, 5.0]"),
        ("nan", "not-a-number: 'nan'"), (math.nan, "not-a-number: nan"), ("high", "not-a-number: 'high'"),
        (10**400, f"not-a-number: 1{'0' * 59}"), (None, "not-a-number: None"), (True, "not-a-number: True"),
        (math.inf, "score-out-of-range: inf, not in [0.0, 5.0]"),
    ],
)  # fmt: skip
def test_scores_that_are_none(score: Any, reason: str | None) -> None:
    assert SCORED.refusals({"text": ["a"], "other": ["b"], "score": [score]}) == [reason]


def test_scores_are_from_0_to_1() -> None:
    assert SCORED.truths({"score": ["0", 2.5, "5"]}, {}) == [{"score": 0.0}, {"score": 0.5}, {"score": 1.0}]


def test_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="'answer' of the training split has the same text in every row"):
        PAIRS.learn([ROWS | {"answer": ["x", "x"]}])
    with pytest.raises(DataError, match="'score' of the training split has the same score in every row"):
        SCORED.learn([{"text": ["a"], "other": ["b"], "score": ["1"]}, {"text": ["a"], "other": ["b"], "score": [1.0]}])
    assert PAIRS.learn([ROWS]) == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"pooling": "average"}, "'mean', 'cls', 'max' or 'last'"), ({"normalize": True}, "Extra inputs")],
)
def test_unknown_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SentenceEmbedding(type="sentence-embedding", **settings)


def test_a_range_that_falls() -> None:
    with pytest.raises(ValidationError, match="the lowest score comes first"):
        SentenceSimilarity(type="sentence-similarity", range=[5, 0])


def test_each_different_text_is_encoded_once(words: Any) -> None:
    settings = PAIRS.settings()
    columns = {"question": ["red", "cat", "red"], "answer": ["红", "红", "猫"]}
    arrays = runtime.encode(settings, columns, words, {})
    assert len(arrays["input_ids"]) == 4
    assert arrays["row"].tolist() == [0, 1, 0, 2]
    vectors = np.array([[3.0, 4], [0, 2], [1, 0], [0, 1]])
    made = runtime.decode(settings, columns, arrays, {"embedding": vectors}, {})
    assert [row["vector"] for row in made] == [[3, 4], [0, 2], [3, 4]]
    assert [row["positive_vector"] for row in made] == [[1, 0], [1, 0], [0, 1]]
    assert [row["score"] for row in made] == pytest.approx([0.6, 0, 0.8])


def test_a_text_alone_has_a_vector_and_no_score(words: Any) -> None:
    arrays = runtime.encode(PAIRS.settings(), {"question": ["red"]}, words, {})
    made = runtime.decode(PAIRS.settings(), {"question": ["red"]}, arrays, {"embedding": np.ones((1, 2))}, {})
    assert made == [{"vector": [1.0, 1.0]}]
