"""The rule by which gates decide: its rates of error on simulated arms, and its arithmetic."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from hft_core import DataError
from hft_core.components import Metric
from hft_core.evidence.comparison import compare_crossed, compare_folds, holm, pseudo_values
from hft_plugins.metrics.classification import F1, Accuracy

ACCURACY = Accuracy(type="accuracy")
REPEATS = 100
SETTINGS = [(3, 0.0), (3, 0.02), (5, 0.0), (5, 0.005), (5, 0.02), (5, 0.1), (8, 0.05)]
"""Seeds, and the standard deviation of a seed's own effect."""


def crossed(random, seeds, own, effect, rows=600):
    """Differences of rows that all seeds share; `effect` in standard errors of their mean."""
    of_rows, rest = 0.3, 0.5
    error = np.sqrt(own**2 / seeds + of_rows**2 / rows + rest**2 / (rows * seeds))
    return (
        effect * error
        + random.normal(0, own, (seeds, 1))
        + random.normal(0, of_rows, (1, rows))
        + random.normal(0, rest, (seeds, rows))
    )


def folded(random, folds, own, overlap, effect, rows=60):
    """Differences of folds with rows of their own; `overlap` is how alike their effects are, for they share training rows."""
    error = np.sqrt(own**2 * (overlap + (1 - overlap) / folds) + 0.25 / (folds * rows))
    shared = random.normal(0, own * np.sqrt(overlap))
    return [
        effect * error + shared + random.normal(0, own * np.sqrt(1 - overlap)) + random.normal(0, 0.5, rows)
        for _ in range(folds)
    ]


def kept(found):
    return sum(comparison.verdict == "helps" for comparison in found)


def nothing_like(values):
    return [np.zeros_like(own) for own in values]


@pytest.mark.parametrize(("seeds", "own"), SETTINGS)
@pytest.mark.parametrize("effect", [0, -1, -4])
def test_what_does_not_help_is_kept_in_at_most_5_of_100(seeds, own, effect):
    random = np.random.default_rng([seeds, round(own * 1000), effect + 9])
    arms = [crossed(random, seeds, own, effect) for _ in range(REPEATS)]
    assert kept(compare_crossed(np.zeros_like(arm), arm, 600) for arm in arms) <= 5


@pytest.mark.parametrize(("seeds", "own"), [(5, 0.0), (5, 0.005), (5, 0.02), (8, 0.02), (8, 0.1)])
def test_what_helps_by_4_standard_errors_is_kept_in_at_least_90_of_100(seeds, own):
    random = np.random.default_rng([seeds, round(own * 1000)])
    arms = [crossed(random, seeds, own, 4) for _ in range(REPEATS)]
    assert kept(compare_crossed(np.zeros_like(arm), arm, 600) for arm in arms) >= 90


@pytest.mark.parametrize("folds", [3, 5, 8])
@pytest.mark.parametrize("own", [0.0, 0.05, 0.2])
def test_over_folds_that_share_training_rows_no_more_is_kept(folds, own):
    random = np.random.default_rng([folds, round(own * 1000)])
    arms = [folded(random, folds, own, 1 / folds, 0) for _ in range(REPEATS)]
    assert kept(compare_folds(nothing_like(arm), arm, 60 * folds) for arm in arms) <= 5
    arms = [folded(random, folds, own, 1 / folds, 8) for _ in range(REPEATS)]
    assert kept(compare_folds(nothing_like(arm), arm, 60 * folds) for arm in arms) >= (60 if folds == 3 else 90)


def test_correlated_hits_of_real_predictions_are_no_evidence():
    """Two arms as good as each other on rows that differ in difficulty: accuracies of whole predictions, three seeds."""
    random = np.random.default_rng(3)
    found = []
    for _ in range(REPEATS):
        difficulty = random.beta(4, 1, 500)
        hits = random.random((2, 3, 500)) < difficulty
        stacks = np.stack([hits, np.ones_like(hits)], axis=-1).astype(np.float64)
        first, second = ([pseudo_values(ACCURACY, rows, {}) for rows in arm] for arm in stacks)
        found.append(compare_crossed(np.stack(first), np.stack(second), 500))
    assert kept(found) <= 5


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(4)
    found = [compare_crossed(np.zeros((5, 300)), crossed(random, 5, 0.02, 0, 300) + 0.1, 300) for _ in range(300)]
    assert 275 <= sum(one.low <= 0.1 <= one.high for one in found) <= 299  # 95 % of 300 is 285


def test_the_smallest_difference_is_seen_in_80_of_100():
    random = np.random.default_rng(5)
    smallest = np.mean(
        [compare_crossed(np.zeros((5, 600)), crossed(random, 5, 0.01, 0), 600).smallest for _ in range(50)]
    )
    arms = [crossed(random, 5, 0.01, 0) + smallest for _ in range(REPEATS)]
    assert 70 <= kept(compare_crossed(np.zeros_like(arm), arm, 600) for arm in arms) <= 95


def test_what_would_settle_it():
    random = np.random.default_rng(6)
    wide = random.normal(0, 1, (5, 200))
    few_rows = compare_crossed(np.zeros_like(wide), wide - wide.mean() + 0.05, 200)
    assert few_rows.verdict == "unproven"
    rows = few_rows.settling_rows()
    assert rows is not None
    more = [random.normal(0.05, 1, (5, rows)) for _ in range(20)]
    assert kept(compare_crossed(np.zeros_like(own), own, rows) for own in more) >= 12  # 80 % are meant
    few_seeds = compare_crossed(np.zeros((3, 400)), np.array([[0.2], [0.01], [0.03]]) + np.zeros((3, 400)), 400)
    assert few_seeds.verdict == "unproven"
    assert few_seeds.settling_rows() is None, "no number of rows tells seeds apart from luck"
    assert few_seeds.settling_seeds() > 3
    worse = compare_crossed(np.zeros_like(wide), wide - wide.mean() - 0.05, 200)
    assert (worse.settling_rows(), worse.settling_seeds()) == (None, None)


def test_both_sides_the_same():
    same = compare_crossed(np.ones((3, 50)), np.ones((3, 50)), 50)
    assert (same.difference, same.standard_error, same.verdict) == (0, 0, "unproven")
    assert compare_folds([np.ones(9)] * 2, [np.ones(9)] * 2, 18).verdict == "unproven"


def test_one_seed_is_compared_over_rows():
    random = np.random.default_rng(7)
    values = random.normal(0.1, 1, (1, 400))
    one = compare_crossed(np.zeros((1, 400)), values, 400)
    assert one.standard_error == pytest.approx(values.std(ddof=1) / 20)
    assert one.degrees == 399


def test_pseudo_values_of_a_share_are_its_rows():
    hits = (np.random.default_rng(8).random(100) < 0.7).astype(np.float64)
    values = pseudo_values(ACCURACY, np.stack([hits, np.ones(100)], axis=1), {})
    assert sorted(values) == pytest.approx(sorted(hits))


def test_pseudo_values_of_f1_give_its_standard_error():
    """Against the bootstrap."""
    random = np.random.default_rng(9)
    facts = {"labels": ["a", "b", "c"]}
    truth = random.choice(facts["labels"], 900, p=[0.6, 0.3, 0.1])
    found = np.where(random.random(900) < 0.7, truth, random.choice(facts["labels"], 900))
    metric = F1(type="f1")
    statistics = metric.rows([{"label": x} for x in found], [{"label": x} for x in truth], facts)
    values = pseudo_values(metric, statistics, facts)
    assert len(values) == 250
    assert values.mean() == pytest.approx(metric.figures(statistics, facts)["f1"])
    drawn = [metric.figures(statistics[random.integers(900, size=900)], facts)["f1"] for _ in range(500)]
    assert values.std(ddof=1) / np.sqrt(250) == pytest.approx(np.std(drawn), rel=0.2)


class Worst(Metric):
    """The largest error: less is better, and it is no sum."""

    additive = False
    greater_is_better = False
    type: Literal["worst"]

    def rows(self, predictions, truths, facts):
        return np.array([[p["x"]] for p in predictions])

    def value(self, statistics, facts):
        return {"worst": float(np.max(statistics)) if len(statistics) > 1 else float("nan")}


def test_less_is_better_where_the_metric_says_so():
    metric = Worst(type="worst")
    values = pseudo_values(metric, np.arange(20.0)[:, None], {})
    assert values.mean() == pytest.approx(-19)
    with pytest.raises(DataError, match="metric worst: it gave nan"):
        pseudo_values(metric, np.ones((2, 1)), {})


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
