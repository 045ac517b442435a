"""Areas under curves and their intervals, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from hft_core.evidence.ranking import Steps, ranking


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_areas_are_those_of_scikit_learn(ties: bool) -> None:
    random = np.random.default_rng(3)
    score = random.random(200)
    if ties:
        score = score.round(1)
    own = random.random(200) < 0.2 + 0.5 * score
    weights = random.integers(0, 4, (20, 200)).astype(float)
    auc, average = Steps.of(own, score).areas(weights)
    for place, each in enumerate(weights):
        assert auc[place] == pytest.approx(roc_auc_score(own, score, sample_weight=each))
        assert average[place] == pytest.approx(average_precision_score(own, score, sample_weight=each))


def test_intervals_hold_the_true_area_as_often_as_they_say() -> None:
    # Scores of two normals a standard deviation apart: the area is that of a normal at 1 / √2, 0.7602.
    held = 0
    for draw in range(40):
        random = np.random.default_rng(draw)
        own = np.arange(200) < 100
        score = random.normal(size=200) + own
        found = ranking(np.stack([-score, score], axis=1), np.stack([~own, own], axis=1), ["no", "yes"], seed=draw)
        low, high = found["classes"][1]["intervals"]["roc_auc"]
        assert 0.05 < high - low < 0.2
        held += low <= 0.7602 <= high
    assert held >= 34


def test_a_sample_without_the_label_is_left_out() -> None:
    true = np.array([[True, False], *[[False, True]] * 9])
    found = ranking(np.random.default_rng(0).random((10, 2)), true, ["稀", "多"])
    low, high = found["classes"][0]["intervals"]["roc_auc"]
    assert 0 <= low <= found["classes"][0]["roc_auc"] <= high <= 1
    assert found["intervals"]["average_precision"][0] <= found["average_precision"]


def test_a_label_that_all_rows_have_has_neither_area_nor_interval() -> None:
    found = ranking(np.random.default_rng(0).random((5, 1)), np.ones((5, 1), bool), ["all"])
    assert found["classes"] == [{"label": "all", "rows": 5, "roc_auc": None, "average_precision": None}]
    assert "intervals" not in found


def test_of_many_labels_only_the_frequent_ones_are_ranked() -> None:
    random = np.random.default_rng(0)
    scores = random.random((300, 60))
    true = random.random((300, 60)) < np.linspace(0.01, 0.5, 60)
    found = ranking(scores, true, [f"标签{place}" for place in range(60)])
    assert found["labels"] == 60
    assert len(found["classes"]) == 50
    assert sum("roc" in entry for entry in found["classes"]) == 5


@pytest.mark.parametrize(("rows", "has"), [(100_000, True), (300_000, False)])
def test_of_very_many_rows_there_is_no_interval(rows: int, has: bool) -> None:
    random = np.random.default_rng(0)
    own = random.random(rows) < 0.3
    score = random.normal(size=rows) + own
    found = ranking(score[:, None], own[:, None], ["one"])
    assert ("intervals" in found) == ("intervals" in found["classes"][0]) == has
    if has:
        low, high = found["intervals"]["roc_auc"]
        assert low < found["roc_auc"] < high < low + 0.02
