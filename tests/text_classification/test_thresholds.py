"""The threshold of two labels: the best one by trying all, and how a task uses it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import accuracy_score, f1_score

from hft_core import DataError
from hft_core.evidence.thresholds import best_threshold
from hft_core.runtime.agreement import margin
from hft_plugins.text_classification.runtime import decode
from hft_plugins.text_classification.task import TextClassification

COLUMNS = {"text": ["x", "y", "z"], "label": ["差评", "好评", "差评"]}


@pytest.mark.parametrize("goal", ["accuracy", "f1"])
def test_no_other_threshold_is_better(goal: str) -> None:
    measure = accuracy_score if goal == "accuracy" else f1_score
    for seed in range(200):
        random = np.random.default_rng(seed)
        scores = np.round(random.random(int(random.integers(1, 30))), int(random.integers(1, 4)))
        true = random.random(len(scores)) < random.random()
        found = best_threshold(scores, true, goal)  # type: ignore[arg-type]  # one of the two
        tried = [
            measure(true, scores >= cut, **({"zero_division": 0} if goal == "f1" else {})) for cut in (*scores, 2.0)
        ]
        own = measure(true, scores >= found, **({"zero_division": 0} if goal == "f1" else {}))
        assert own == pytest.approx(max(tried)), seed
        assert 0 <= found <= 1.001


def test_it_lies_between_scores() -> None:
    scores, true = np.array([0.1, 0.2, 0.4, 0.8]), np.array([False, False, True, True])
    assert best_threshold(scores, true, "f1") == pytest.approx(0.3)


@pytest.mark.parametrize("true", [[], [False, False]])
def test_without_a_positive_row_it_is_a_half(true: list[bool]) -> None:
    assert best_threshold(np.linspace(0.1, 0.2, len(true)), np.array(true, bool), "f1") == 0.5


def task(**fields: Any) -> TextClassification:
    return TextClassification(type="text-classification", **fields).bind(COLUMNS)


def test_it_is_learned_tuned_and_decides() -> None:
    own = task(threshold="f1", positive="好评")
    facts = own.learn([COLUMNS])
    assert facts["positive"] == "好评"
    assert facts["threshold"] == 0.5
    # Probabilities of 好评: 0.1, 0.3, 0.2.
    odds = np.array([0.1, 0.3, 0.2])
    order = facts["labels"].index("好评")
    logits = np.zeros((3, 2))
    logits[:, order] = np.log(odds / (1 - odds))
    assert [row["label"] for row in decode({}, {}, {}, {"logits": logits}, facts)] == ["差评"] * 3
    tuned = own.tune(COLUMNS, {}, {"logits": logits}, facts)
    assert tuned["threshold"] == pytest.approx(0.25)
    found = decode({}, {}, {}, {"logits": logits}, tuned)
    assert [row["label"] for row in found] == COLUMNS["label"]
    assert [row["score"] for row in found] == pytest.approx([0.9, 0.3, 0.8])
    assert margin(found[1]) == pytest.approx(0.05)


def test_a_fixed_one_is_kept_and_without_one_nothing_changes() -> None:
    fixed = task(threshold=0.3).learn([COLUMNS])
    assert fixed["threshold"] == 0.3
    tuned = task(threshold=0.3).tune(COLUMNS, {}, {"logits": np.zeros((len(COLUMNS["label"]), 2))}, fixed)
    assert tuned == fixed | {"temperature": 1.0, "uncalibrated": tuned["uncalibrated"]}
    assert "fewer than 100" in tuned["uncalibrated"]
    plain = task().learn([COLUMNS])
    assert set(plain) == {"labels", "counts"}
    assert set(decode({}, {}, {}, {"logits": np.zeros((1, 2))}, plain)[0]) == {"label", "score", "scores"}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValidationError, match="with a `threshold` only"):
        task(positive="好评")
    with pytest.raises(ValidationError):
        task(threshold=1.5)
    with pytest.raises(DataError, match="`positive` is 'x', which is no label"):
        task(threshold="f1", positive="x").learn([COLUMNS])
    with pytest.raises(DataError, match="for two labels, but there are 3"):
        task(threshold="f1").learn([{"text": ["x"] * 3, "label": ["a", "b", "c"]}])
