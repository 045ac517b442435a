"""Metrics of several labels per row: equal to scikit-learn's on generated cases, and what they say at the borders."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from hft_plugins.metrics.label_sets import (
    LabelRanking,
    LabelSetMetric,
    MultiLabelF1,
    MultiLabelPrecision,
    MultiLabelRecall,
    SubsetAccuracy,
)
from tests.repeats import times

SKLEARN = {
    MultiLabelPrecision: sk.precision_score,
    MultiLabelRecall: sk.recall_score,
    MultiLabelF1: sk.f1_score,
}
FACTS = {"labels": ["喜剧", "剧情", "war"]}
CASES = [pytest.param(first, marks=pytest.mark.slow if first else ()) for first in range(0, times(300, 1000), 50)]


def items(matrix: Any, labels: list[str], scores: Any = None) -> list[dict[str, Any]]:
    rows = [{"labels": [labels[place] for place in np.flatnonzero(row)]} for row in matrix]
    if scores is None:
        return rows
    return [
        row | {"scores": dict(zip(labels, own.tolist(), strict=True))} for row, own in zip(rows, scores, strict=True)
    ]


@pytest.mark.parametrize("first", CASES)
def test_figures_are_those_of_scikit_learn(first: int) -> None:
    for seed in range(first, first + 50):
        random = np.random.default_rng(seed)
        count = int(random.integers(2, 7))
        labels = [f"标{place}" for place in range(count)]
        true = random.random((int(random.integers(1, 30)), count)) < random.uniform(0.05, 0.7)  # empty rows among them
        scores = np.round(random.random(true.shape) * 0.6 + true * 0.4 * random.random(), int(random.integers(1, 4)))
        said = scores >= 0.5
        data = items(said, labels, scores), items(true, labels), {"labels": labels}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for component, reference in SKLEARN.items():
                name = component.type_name()
                for average in ("micro", "macro", "weighted", "samples"):
                    found = component(type=name, average=average).measure(*data)
                    assert next(iter(found)) == name
                    wanted = reference(true, said, average=average, zero_division=0)
                    assert found[name] == pytest.approx(wanted, abs=1e-12), (seed, name, average)
                per_label = reference(true, said, average=None, zero_division=0)
                assert [found[f"{name}[{label}]"] for label in labels] == pytest.approx(list(per_label), abs=1e-12)
            subset = SubsetAccuracy(type="subset-accuracy").measure(*data)
            assert subset["subset-accuracy"] == pytest.approx(sk.accuracy_score(true, said), abs=1e-12)
            ranking = LabelRanking(type="label-ranking").measure(*data)
            wanted = sk.label_ranking_average_precision_score(true, scores)
            assert ranking["label-ranking"] == pytest.approx(wanted, abs=1e-12), seed


@pytest.mark.parametrize("component", [*SKLEARN, SubsetAccuracy])
def test_statistics_add_up(component: type[LabelSetMetric]) -> None:
    random = np.random.default_rng(0)
    said, true = (items(random.random((20, 3)) < 0.4, FACTS["labels"]) for _ in range(2))
    metric = component(type=component.type_name())
    whole = metric.rows(said, true, FACTS).sum(axis=0)
    parts = sum(metric.rows([one], [two], FACTS)[0] for one, two in zip(said, true, strict=True))
    assert np.allclose(whole, parts)
    assert 0 < metric.value(whole, FACTS)[component.type_name()] < 1


def test_a_label_that_nobody_knows_is_wrong() -> None:
    said, true = [{"labels": ["war", "?"]}], [{"labels": ["war"]}]
    assert SubsetAccuracy(type="subset-accuracy").measure(said, true, FACTS) == {"subset-accuracy": 0}
    precision = MultiLabelPrecision(type="multi-label-precision", average="samples")
    assert precision.measure(said, true, FACTS)["multi-label-precision"] == 0.5


def test_two_empty_sets_are_a_hit_of_subset_accuracy_and_nothing_for_f1() -> None:
    nothing = [{"labels": []}]
    assert SubsetAccuracy(type="subset-accuracy").measure(nothing, nothing, FACTS)["subset-accuracy"] == 1
    assert set(MultiLabelF1(type="multi-label-f1").measure(nothing, nothing, FACTS).values()) == {0.0}
