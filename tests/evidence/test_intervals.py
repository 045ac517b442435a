import tracemalloc
from typing import Literal

import numpy as np
import pytest

from hft_core.components import Metric
from hft_core.evidence.intervals import bootstrap, over_seeds
from hft_plugins.metrics.classification import F1, Accuracy, Confusion

ACCURACY = Accuracy(type="accuracy")


class Median(Metric):
    """A metric that is not additive."""

    additive = False
    type: Literal["median"]

    def rows(self, predictions, truths, facts):
        return np.array([[p["x"]] for p in predictions])

    def value(self, statistics, facts):
        return {"median": float(np.median(statistics))}


def hits(rows, rate, seed=0):
    right = np.random.default_rng(seed).random(rows) < rate
    return np.stack([right, np.ones(rows)], axis=1).astype(np.float64)


def test_an_interval_agrees_with_the_normal_approximation_for_a_share():
    statistics = hits(2000, 0.8)
    low, high = bootstrap(ACCURACY, statistics, {}, seed=0, samples=2000)["accuracy"]
    share = statistics[:, 0].mean()
    half = 1.96 * np.sqrt(share * (1 - share) / 2000)
    assert low == pytest.approx(share - half, abs=0.003)
    assert high == pytest.approx(share + half, abs=0.003)


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = 0
    for trial in range(200):
        low, high = bootstrap(ACCURACY, hits(300, 0.7, seed=trial), {}, seed=trial, samples=300)["accuracy"]
        covered += low <= 0.7 <= high
    assert 180 <= covered <= 200  # 95 % of 200 is 190


def test_a_wider_level_gives_a_wider_interval():
    statistics = hits(200, 0.7)
    narrow = bootstrap(ACCURACY, statistics, {}, seed=0, level=0.5)["accuracy"]
    wide = bootstrap(ACCURACY, statistics, {}, seed=0, level=0.99)["accuracy"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_seed_decides():
    statistics = hits(200, 0.7)
    first = bootstrap(ACCURACY, statistics, {}, seed=1)
    assert bootstrap(ACCURACY, statistics, {}, seed=1) == first
    assert bootstrap(ACCURACY, statistics, {}, seed=2) != first


def test_blocks_do_not_change_the_result(monkeypatch):
    statistics = hits(100, 0.7)
    whole = bootstrap(ACCURACY, statistics, {}, seed=0, samples=50)
    monkeypatch.setattr("hft_core.evidence.intervals._BLOCK", 700)
    assert bootstrap(ACCURACY, statistics, {}, seed=0, samples=50) == whole


def test_every_name_gets_its_own_interval():
    facts = {"labels": ["a", "b", "c"]}
    random = np.random.default_rng(0)
    true = [{"label": label} for label in random.choice(facts["labels"], 300)]
    predicted = [{"label": label} for label in random.choice(facts["labels"], 300)]
    metric = F1(type="f1")
    value = metric.measure(predicted, true, facts)
    intervals = bootstrap(metric, metric.rows(predicted, true, facts), facts, seed=0)
    assert list(intervals) == list(value)
    assert all(low < value[name] < high for name, (low, high) in intervals.items())
    confusion = Confusion(type="confusion")
    intervals = bootstrap(confusion, confusion.rows(predicted, true, facts), facts, seed=0, samples=200)
    cells = confusion.measure(predicted, true, facts)
    assert all(low < cells[name] < high for name, (low, high) in intervals.items())


def test_a_metric_that_is_not_additive_sees_resampled_rows():
    values = np.random.default_rng(0).normal(5, 1, 400)
    metric = Median(type="median")
    low, high = bootstrap(metric, metric.rows([{"x": x} for x in values], [], {}), {}, seed=0, samples=500)["median"]
    # The standard error of a median of normal numbers is 1.2533 σ / √n.
    assert high - low == pytest.approx(2 * 1.96 * 1.2533 / 20, rel=0.3)


def test_several_seeds_widen_the_interval_by_their_spread():
    alike = np.stack([hits(2000, 0.8)] * 3)
    apart = np.stack([hits(2000, rate, seed=9) for rate in (0.7, 0.8, 0.9)])
    low, high = bootstrap(ACCURACY, alike, {}, seed=0)["accuracy"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 2000), rel=0.15)  # rows only
    low, high = bootstrap(ACCURACY, apart, {}, seed=0)["accuracy"]
    assert low < 0.74
    assert high > 0.86
    assert low < apart[:, :, 0].mean() < high


def test_seeds_are_compared_on_the_same_rows():
    # A seed and its opposite: on any rows their mean is a half, unless one is drawn twice.
    one = hits(500, 0.5)
    other = np.stack([1 - one[:, 0], one[:, 1]], axis=1)
    samples = []
    metric = Accuracy(type="accuracy")
    for seed in range(40):
        low, high = bootstrap(metric, np.stack([one, other]), {}, seed=seed, samples=1)["accuracy"]
        assert low == high
        samples.append(low)
    assert np.isclose(samples, 0.5).sum() > 10


def test_memory_is_bounded():
    statistics = hits(200_000, 0.9)
    tracemalloc.start()
    bootstrap(ACCURACY, statistics, {}, seed=0, samples=40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 * 2**20  # all samples at once would hold 40 · 200,000 draws and counts: 128 MB and more


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap(ACCURACY, np.zeros((0, 2)), {}, seed=0)


def test_over_seeds():
    assert over_seeds([{"f1": 0.8}, {"f1": 0.9}]) == {"f1": (pytest.approx(0.85), pytest.approx(0.0707107))}
    assert over_seeds([{"f1": 0.8}]) == {"f1": (pytest.approx(0.8), None)}
