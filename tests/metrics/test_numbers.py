"""Metrics of numbers: equal to scikit-learn's and scipy's on generated cases, and what they say at the borders."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from hft_core import Metric
from hft_core.evidence.intervals import bootstrap
from hft_plugins.metrics.numbers import R2, MeanAbsoluteError, MeanSquaredError, Pearson, Spearman

ALL = (MeanSquaredError, MeanAbsoluteError, R2, Pearson, Spearman)
CASES = [pytest.param(first, marks=pytest.mark.slow if first else ()) for first in range(0, 1000, 100)]


def measure(component: type[Metric], found: np.ndarray, true: np.ndarray, mean: float = 0.0) -> float:
    items = [[{"score": float(value)} for value in values] for values in (found, true)]
    [(name, value)] = component(type=component.type_name()).measure(*items, {"mean": mean}).items()
    assert name == component.type_name()
    return value


@pytest.mark.parametrize("first", CASES)
def test_figures_are_those_of_scikit_learn_and_scipy(first: int) -> None:
    for seed in range(first, first + 100):
        random = np.random.default_rng(seed)
        rows = int(random.integers(2, 60))
        true = random.normal(random.normal() * 100, random.uniform(0.1, 20), rows)
        found = true * random.normal() + random.normal(0, random.uniform(0.1, 20), rows)
        if seed % 3 == 0:  # ties
            true, found = true.round(), found.round(-1)
        mean = float(random.choice([0.0, true.mean(), 1000.0]))
        wanted = {
            MeanSquaredError: sk.mean_squared_error(true, found),
            MeanAbsoluteError: sk.mean_absolute_error(true, found),
            R2: sk.r2_score(true, found),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted[Pearson] = np.nan_to_num(stats.pearsonr(found, true).statistic)
            wanted[Spearman] = np.nan_to_num(stats.spearmanr(found, true).statistic)
        for component, value in wanted.items():
            got = measure(component, found, true, mean)
            assert got == pytest.approx(value, rel=1e-6, abs=1e-7), (seed, component.__name__)


def test_numbers_that_are_all_the_same() -> None:
    flat, steep = np.full(5, 3.0), np.arange(5.0)
    assert measure(Pearson, flat, steep) == measure(Spearman, steep, flat) == 0
    assert measure(R2, flat, flat) == 1
    assert measure(R2, steep, flat) == 0
    assert measure(R2, np.full(5, 2.0), steep) == 0


def test_large_numbers_keep_their_digits() -> None:
    true = 1e9 + np.arange(50.0)
    found = true + np.tile([1.0, -1.0], 25)
    assert measure(R2, found, true, mean=1e9) == pytest.approx(sk.r2_score(true - 1e9, found - 1e9), abs=1e-9)
    assert measure(Pearson, found, true, mean=1e9) == pytest.approx(stats.pearsonr(found, true).statistic, abs=1e-6)


def test_rounding_makes_no_order() -> None:
    """The same text twice, in two batches: its numbers differ in the last digits, and still share their rank."""
    items = [[{"score": value} for value in values] for values in ([1.0, 2.0, 2.0 + 1e-7], [1.0, 3.0, 2.0])]
    metric = Spearman(type="spearman")
    assert metric.measure(*items, {"mean": 2.0, "sd": 1.0})["spearman"] == pytest.approx(np.sqrt(0.75))
    assert metric.measure(*items, {})["spearman"] == pytest.approx(0.5)


@pytest.mark.parametrize("component", ALL)
def test_each_has_an_interval(component: type[Metric]) -> None:
    random = np.random.default_rng(0)
    true = random.normal(size=200)
    items = [[{"score": float(value)} for value in values] for values in (true + random.normal(size=200), true)]
    metric = component(type=component.type_name())
    statistics = metric.rows(*items, {})
    [(low, high)] = bootstrap(metric, statistics, {}, seed=0, samples=100).values()
    assert low < next(iter(metric.figures(statistics, {}).values())) < high
