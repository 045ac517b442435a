"""What does not fit is said by `hft check`, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import project, translations

T5 = {"type": "t5", "source": {"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 200}}}
SIMILARITY = {"type": "sentence-similarity"}


@pytest.mark.parametrize(
    ("task", "stage", "recipe", "said"),
    [
        ({"pooling": "averge"}, {}, {}, "task.pooling: expected 'mean', 'cls', 'max' or 'last', found 'averge'"),
        (
            {},
            {"batch_size": 1},
            {},
            "in-batch-negatives compares the rows of a batch with each other, and a batch of one has",
        ),
        ({}, {}, {"model": T5}, "trains a head of its own, which the model 't5' cannot have (it can have seq2seq-lm)"),
        (
            {},
            {"objectives": [{"type": "cosent", "data": "train"}]},
            {},
            "cosent trains tasks that give other_vector, score, but 'main' (sentence-embedding) gives positive_vector, vector",
        ),
        (
            SIMILARITY,
            {"objectives": [{"type": "in-batch-negatives", "data": "train"}]},
            {},
            "in-batch-negatives trains tasks that give positive_vector, but 'main' (sentence-similarity) gives other_vector",
        ),
        (SIMILARITY | {"range": [1, 1]}, {}, {}, "the lowest score comes first and is less than the highest"),
        (
            {},
            {"objectives": [{"type": "in-batch-negatives", "data": "train", "temperature": 0}]},
            {},
            "temperature: expected more than 0, found 0",
        ),
        (
            {},
            {},
            {"evaluate": {"metrics": [{"type": "accuracy"}]}},
            "nothing in this recipe gives what 'accuracy' needs",
        ),
        (
            {},
            {},
            {"evaluate": {"metrics": [{"type": "mrr"}], "best": "recall@10"}},
            "'recall@10' is not among the task's",
        ),
    ],
)
def test_check_says_what_does_not_fit(
    task: dict[str, Any], stage: dict[str, Any], recipe: dict[str, Any], said: str, tmp_path: Path, hft_here: Any
) -> None:
    settings = {"type": "sentence-embedding"} | task
    file = project(tmp_path, ("text", "positive"), translations(9, 0), translations(9, 1), settings, stage, **recipe)
    outcome = hft_here("check", file)
    assert outcome.code == 2, outcome
    assert said in outcome.err, outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("header", "rows", "task", "said"),
    [
        (("text", "answer"), translations(9, 0), {}, "no column 'positive' for positive; its columns are text, answer"),
        (("text", "positive"), [("a", "x"), ("b", "x"), ("c", "x")], {}, "has the same text in every row"),
    ],
)  # fmt: skip
def test_data_that_does_not_fit(
    header: Any, rows: Any, task: dict[str, Any], said: str, tmp_path: Path, hft_here: Any
) -> None:
    file = project(tmp_path, header, rows, rows, {"type": "sentence-embedding"} | task)
    outcome = hft_here("run", file)
    assert outcome.code == 3, outcome
    assert said in outcome.err
    assert "Traceback" not in outcome.err
