"""Calibration, proper scores and ranking: against scikit-learn and plain loops, with the cases at the edge."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from hft_core.evidence.calibration import BINS, calibration, judged_scores
from hft_core.evidence.intervals import grouped
from hft_core.evidence.temperature import fitted_temperature

LABELS = ["差评", "中", "good"]


def rows(count: int, seed: int, labels: list[str] = LABELS) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Predictions and truths of one label a row."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.ones(len(labels)) * 0.7, count)
    true = [labels[random.choice(len(labels), p=0.6 * row + 0.4 / len(labels))] for row in scores]
    found = [
        {
            "label": labels[int(row.argmax())],
            "score": float(row.max()),
            "scores": dict(zip(labels, row.tolist(), strict=True)),
        }
        for row in scores
    ]
    return found, [{"label": label} for label in true]


def slow_ece(scores: list[float], right: list[bool]) -> float:
    """As Guo et al. write it: bins ((m - 1) / M, m / M]."""
    total = 0.0
    for number in range(1, BINS + 1):
        inside = [
            place for place, score in enumerate(scores)
            if (number - 1) / BINS < score <= number / BINS or (number == 1 and score == 0)
        ]  # fmt: skip
        if inside:
            confidence = math.fsum(scores[place] for place in inside) / len(inside)
            accuracy = sum(right[place] for place in inside) / len(inside)
            total += len(inside) / len(scores) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("seed", range(8))
def test_one_label_a_row_equals_scikit_learn(seed: int) -> None:
    predictions, truths = rows(157, seed)
    found = judged_scores("label", predictions, truths, {"labels": LABELS})
    assert found is not None
    true = np.array([LABELS.index(truth["label"]) for truth in truths])
    scores = np.array([list(prediction["scores"].values()) for prediction in predictions])
    right = [found["label"] == truth["label"] for found, truth in zip(predictions, truths, strict=True)]
    assert found["calibration"]["ece"] == pytest.approx(slow_ece(scores.max(axis=1).tolist(), right))
    brier = brier_score_loss(true, scores, labels=[0, 1, 2], scale_by_half=False)
    assert found["calibration"]["brier"]["value"] == pytest.approx(brier)
    assert found["calibration"]["log_loss"]["value"] == pytest.approx(log_loss(true, scores, labels=[0, 1, 2]))
    for name in ("brier", "log_loss"):
        entry = found["calibration"][name]
        assert entry["low"] < entry["value"] < entry["high"]
    for place, entry in enumerate(found["ranking"]["classes"]):
        own = true == place
        assert entry["label"] == LABELS[place]
        assert entry["rows"] == own.sum()
        assert entry["roc_auc"] == pytest.approx(roc_auc_score(own, scores[:, place]))
        assert entry["average_precision"] == pytest.approx(average_precision_score(own, scores[:, place]))
        assert np.trapezoid([y for _, y in entry["roc"]], [x for x, _ in entry["roc"]]) == pytest.approx(
            entry["roc_auc"], abs=0.01
        )
        assert [entry["pr"][0][0], entry["pr"][-1][0]] == [0, 1]
    assert found["ranking"]["roc_auc"] == pytest.approx(roc_auc_score(true, scores, multi_class="ovr", average="macro"))


@pytest.mark.parametrize("seed", range(4))
def test_several_labels_a_row_equal_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.random((90, 3))
    true = random.random((90, 3)) < scores
    predictions = [{"labels": [], "scores": dict(zip(LABELS, row.tolist(), strict=True))} for row in scores]
    truths = [{"labels": [LABELS[place] for place in np.flatnonzero(row)]} for row in true]
    found = judged_scores("labels", predictions, truths, {"labels": LABELS})
    assert found is not None
    assert found["calibration"]["ece"] == pytest.approx(slow_ece(scores.ravel().tolist(), true.ravel().tolist()))
    brier = np.mean([brier_score_loss(true[:, place], scores[:, place]) for place in range(3)])
    assert found["calibration"]["brier"]["value"] == pytest.approx(brier)
    loss = np.mean([log_loss(true[:, place], scores[:, place]) for place in range(3)])
    assert found["calibration"]["log_loss"]["value"] == pytest.approx(loss)
    assert found["ranking"]["roc_auc"] == pytest.approx(roc_auc_score(true, scores, average="macro"))


def test_the_edges() -> None:
    """One class only, all scores the same, one row, a certain and wrong one: figures or None, no warning, no error."""
    facts = {"labels": ["a", "b"]}

    def said(label: str, score: float) -> dict[str, Any]:
        other = "b" if label == "a" else "a"
        scores = {label: score, other: 1 - score}
        return {"label": label, "score": score, "scores": {name: scores[name] for name in ("a", "b")}}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one_class = judged_scores("label", [said("a", 0.7), said("b", 0.6)], [{"label": "a"}] * 2, facts)
        same = judged_scores("label", [said("a", 0.5)] * 4, [{"label": "a"}, {"label": "b"}] * 2, facts)
        single = judged_scores("label", [said("a", 0.9)], [{"label": "a"}], facts)
        certain = judged_scores("label", [said("a", 1.0)] * 2, [{"label": "b"}, {"label": "a"}], facts)
        outside = judged_scores("label", [said("a", 0.9)] * 2, [{"label": "new"}, {"label": "a"}], facts)
    assert None not in (one_class, same, single, certain, outside)
    assert [entry["roc_auc"] for entry in one_class["ranking"]["classes"]] == [None, None]
    assert one_class["ranking"]["roc_auc"] is None
    assert same["ranking"]["roc_auc"] == 0.5
    assert same["calibration"]["ece"] == 0
    assert single["calibration"]["ece"] == pytest.approx(0.1)
    assert single["calibration"]["brier"]["low"] == single["calibration"]["brier"]["value"]
    assert certain["calibration"]["ece"] == 0.5
    assert math.isfinite(certain["calibration"]["log_loss"]["value"])
    assert outside["calibration"]["ece"] == pytest.approx(0.4), "a label that nobody knows is a wrong answer"
    assert judged_scores("number", [{"score": 1.0}], [{"score": 1.0}], {}) is None
    assert judged_scores("label", [], [], facts) is None
    assert judged_scores("label", [{"label": "a"}], [{"label": "a"}], facts) is None, "no scores"


def test_what_is_calibrated_stays_below_chance_and_what_is_not_does_not() -> None:
    random = np.random.default_rng(0)
    below = 0
    for _ in range(40):
        scores = random.uniform(0.5, 1, (400, 1))
        below += (found := calibration(scores, random.random((400, 1)) < scores))["ece"] < found["by_chance"]
        sure = calibration(np.clip(scores * 1.3, 0, 1), random.random((400, 1)) < scores)
        assert sure["ece"] > sure["by_chance"]
    assert below >= 34
    many = random.uniform(0.5, 1, (20_000, 1))
    drawn = calibration(many, random.random(many.shape) < many)
    few = calibration(many[:5_000], random.random((5_000, 1)) < many[:5_000])
    assert drawn["by_chance"] == pytest.approx(few["by_chance"] / 2, rel=0.1), "both ways to draw agree"


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("labels", [2, 7])
def test_the_temperature_is_found_again(true_temperature: float, labels: int) -> None:
    from scipy.optimize import minimize_scalar

    random = np.random.default_rng(labels)
    honest = random.normal(size=(3000, labels)) * 1.5
    odds = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    true = (odds.cumsum(axis=1) > random.random((3000, 1))).argmax(axis=1)
    logits = (honest * true_temperature).astype(np.float32)
    found = fitted_temperature(logits, true)
    assert found.value == pytest.approx(true_temperature, rel=0.1)
    assert found.why == ""

    def loss(temperature: float) -> float:
        scaled = logits.astype(np.float64) / temperature
        return log_loss(true, np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True), labels=range(labels))

    best = minimize_scalar(loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-7})
    assert found.value == pytest.approx(best.x, rel=1e-4)
    assert (logits / found.value).argmax(axis=1).tolist() == logits.argmax(axis=1).tolist()


def test_a_temperature_is_left_at_1_where_rows_cannot_tell_it() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=(400, 3))
    right = logits.argmax(axis=1)
    anything = random.integers(3, size=400)
    mostly = np.where(np.arange(400) < 20, anything, right)
    sharp = np.where(np.arange(400)[:, None] < 12, 0.001, 1.0) * logits
    cases = {
        "fewer than 100": (logits[:99], anything[:99]),
        "0 of 400 answers": (logits, right),
        "best temperature is above 10": (logits, (logits.argmax(axis=1) + 1) % 3),
        "below 0.1": (sharp * 0.001, mostly),
    }
    for why, (given, true) in cases.items():
        found = fitted_temperature(given, true)
        assert found.value == 1.0, why
        assert why in found.why, found.why
        assert found.facts() == {"temperature": 1.0, "uncalibrated": found.why}
    assert fitted_temperature(np.zeros((400, 3)), anything).why, "all the same score"
    assert fitted_temperature(np.zeros((0, 3)), np.zeros(0, np.int64)).value == 1.0


def test_groups_keep_the_sum_and_the_spread() -> None:
    statistics = np.random.default_rng(0).normal(size=(30_011, 2))
    groups = grouped(statistics, 0)
    assert len(groups) == 2000
    assert groups.sum(axis=0) == pytest.approx(statistics.sum(axis=0))
    assert groups.var(axis=0).sum() * 2000 == pytest.approx(30_011 * 2, rel=0.1)
    assert grouped(statistics[:7], 0) is not None
    assert len(grouped(statistics[:7], 0)) == 7
