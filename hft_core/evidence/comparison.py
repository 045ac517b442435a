"""Whether one way of training is better than another, measured on the same rows with the same seeds.

Rows and seeds are both drawn at random, and both are few. Each row has a jackknife pseudo-value of the difference (for a
share, simply its own), so any metric is compared as a mean would be. On rows that all seeds share the variance is that of
two crossed random effects, as in the comparison of readers and cases: Dorfman, Berbaum and Metz 1992, with the degrees of
freedom of Hillis 2007 ("A comparison of denominator degrees of freedom methods for multiple observer ROC analysis",
Statistics in Medicine 26). Over folds it is that of their differences, enlarged because training sets overlap: Nadeau and
Bengio 2003 ("Inference for the generalization error", Machine Learning 52), with Satterthwaite's degrees of freedom.
Several p-values are corrected together by Holm 1979 ("A simple sequentially rejective multiple test procedure").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Facts, Metric
from hft_core.errors import DataError
from hft_core.runtime.randomness import generator

ALPHA = 0.025
"""Level of a one-sided test."""
POWER = 0.8
"""Share of the cases in which a difference of the size `Comparison.smallest` would be seen."""
_UNITS = 250
"""Jackknife units at most: rows, or groups of rows where there are more."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A difference of two ways of training: of the second minus the first, positive where the second is better."""

    difference: float
    standard_error: float
    degrees: float
    """Degrees of freedom of the standard error."""
    seeds: int
    rows: int
    """Rows that were measured, over all folds."""
    of_seeds: float
    """Part of the variance of the difference that more seeds would lessen, and more rows would not."""
    of_both: float
    """Part that more of either would lessen."""

    @property
    def low(self) -> float:
        """Lower end of the interval of 95 %."""
        return self.difference - _quantile(1 - ALPHA, self.degrees) * self.standard_error

    @property
    def high(self) -> float:
        """Upper end of the interval of 95 %."""
        return self.difference + _quantile(1 - ALPHA, self.degrees) * self.standard_error

    @property
    def p(self) -> float:
        """One-sided: how likely so large a difference would be if the second were no better."""
        from scipy.special import stdtr

        if self.standard_error == 0:
            return 0.0 if self.difference > 0 else 1.0 if self.difference < 0 else 0.5
        return float(stdtr(self.degrees, -self.difference / self.standard_error))

    @property
    def p_two_sided(self) -> float:
        """How likely so large a difference, either way, would be if there were none."""
        return min(1.0, 2 * min(self.p, 1 - self.p))

    @property
    def verdict(self) -> str:
        """`helps`, `harms` or `unproven`."""
        return "helps" if self.p <= ALPHA else "harms" if 1 - self.p <= ALPHA else "unproven"

    def told(self, greater_is_better: bool) -> dict[str, float]:
        """`difference`, `low` and `high` in the metric's own direction: above 0 the second's figure is the higher one."""
        sign = 1 if greater_is_better else -1
        low, high = sorted((sign * self.low, sign * self.high))
        return {"difference": sign * self.difference, "low": low, "high": high}

    @property
    def smallest(self) -> float:
        """The smallest true difference that would be seen in 80 % of the cases."""
        return _needed(self.degrees) * self.standard_error

    def settling_rows(self) -> int | None:
        """Rows that would show a difference as large as this one, with as many seeds; None where no number would."""
        if self.difference <= 0 or self.standard_error == 0:
            return None
        by_rows = self.standard_error**2 - self.of_seeds
        room = (self.difference / _needed(self.degrees)) ** 2 - self.of_seeds
        return max(self.rows, int(np.ceil(self.rows * by_rows / room))) if room > 0 else None

    def settling_seeds(self) -> int | None:
        """Seeds that would show a difference as large as this one on as many rows; None where 100 are too few."""
        if self.difference <= 0 or self.standard_error == 0:
            return None
        fixed = max(0.0, self.standard_error**2 - self.of_seeds - self.of_both)
        falling = (self.of_seeds + self.of_both) * self.seeds
        for seeds in range(self.seeds, 101):
            if fixed + falling / seeds <= (self.difference / _needed(max(self.degrees, seeds - 1))) ** 2:
                return seeds
        return None


def compare_crossed(first: Values, second: Values, rows: int) -> Comparison:
    """Compare pseudo-values [seeds, units] of two ways of training, whose units are the same `rows` rows for all seeds.

    Raises DataError for fewer than two units.
    """
    differences = second - first
    seeds, units = differences.shape
    mean = float(differences.mean())
    if units < 2:
        raise DataError("a comparison needs two rows or more")
    if seeds == 1:
        error = float(differences.var(ddof=1) / units)
        return Comparison(mean, error**0.5, units - 1, 1, rows, 0.0, 0.0)
    of_seeds, of_units = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - of_seeds[:, None] - of_units[None, :] + mean
    square_rest = float((rest**2).sum() / ((seeds - 1) * (units - 1)))
    square_seeds = max(units * float(of_seeds.var(ddof=1)), square_rest)
    square_units = max(0.0, seeds * float(of_units.var(ddof=1)) - square_rest)
    total, cells = square_seeds + square_units, seeds * units
    degrees = (seeds - 1) * (total / square_seeds) ** 2 if square_seeds > 0 else units - 1.0
    return Comparison(
        mean,
        (total / cells) ** 0.5,
        min(degrees, units - 1.0),
        seeds,
        rows,
        of_seeds=(square_seeds - square_rest) / cells,
        of_both=square_rest / cells,
    )


def compare_folds(first: Sequence[Values], second: Sequence[Values], rows: int) -> Comparison:
    """Compare pseudo-values [units] of each fold, which holds rows of its own and was left out of its training.

    Raises DataError for fewer than two folds, or than two rows in all of them.
    """
    folds = len(first)
    if folds < 2:
        raise DataError("cross-validation needs two folds or more")
    if all(len(own) < 2 for own in first):
        raise DataError("cross-validation needs two rows or more in a fold")
    differences = [two - one for one, two in zip(first, second, strict=True)]
    means = np.array([own.mean() for own in differences])
    within = float(np.mean([own.var(ddof=1) / len(own) if len(own) > 1 else 0.0 for own in differences]))
    beyond = max(0.0, float(means.var(ddof=1)) - within)  # what differs between folds, beside their rows
    overlap = 1 / folds + 1 / (folds - 1)
    units = sum(map(len, differences)) - folds
    degrees = (within + beyond) ** 2 / (beyond**2 / (folds - 1) + within**2 / units) if within + beyond > 0 else units
    return Comparison(
        float(means.mean()),
        ((within + beyond) * overlap) ** 0.5,
        degrees,
        folds,
        rows,
        of_seeds=beyond * overlap,
        of_both=within * overlap,
    )


def pseudo_values(metric: Metric, statistics: Values, facts: Facts, seed: int = 0) -> Values:
    """Give the jackknife pseudo-values of a metric's headline figure, greater is better: float64 [units].

    A unit is a row, or of many rows a group of them at random, the same for all `statistics` [rows, k] of as many rows.
    """
    rows = len(statistics)
    units = min(rows, _UNITS)
    order = generator(seed, "jackknife").permutation(rows)
    groups = [np.sort(part) for part in np.array_split(order, units)]
    sign = 1.0 if metric.greater_is_better else -1.0
    whole = _headline(metric, statistics, facts)
    if metric.additive:
        total = statistics.sum(axis=0)
        left = [_headline(metric, total - statistics[group].sum(axis=0), facts) for group in groups]
    else:
        left = [_headline(metric, np.delete(statistics, group, axis=0), facts) for group in groups]
    shares = np.array([len(group) / rows for group in groups])
    influence = (whole - np.array(left)) * (1 - shares) / shares  # of a mean: the group's mean less that of all
    values: Values = sign * (whole + influence - influence.mean())  # their mean is the figure itself
    return values


def _headline(metric: Metric, statistics: Values, facts: Facts) -> float:
    value = float(metric.figures(statistics, facts)[metric.title])
    if not np.isfinite(value):
        raise DataError(
            f"metric {metric.title}: it gave {value}, so nothing can be compared by it; set another `evaluate.best`"
        )
    return value


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values of several comparisons: the share of wrong findings among them all stays below the level."""
    adjusted = [0.0] * len(values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, values[index] * (len(values) - place)))
        adjusted[index] = largest
    return adjusted


def _quantile(level: float, degrees: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, level))


def _needed(degrees: float) -> float:
    """How many standard errors a true difference has to have, to be seen with the power that is asked for."""
    return _quantile(1 - ALPHA, degrees) + _quantile(POWER, degrees)
