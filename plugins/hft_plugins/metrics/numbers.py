"""Metrics of numbers per row: errors, correlations, and the share of the variance that is explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, Prediction

Numbers = NDArray[np.float64]


class NumberMetric(Metric):
    """Base of metrics that compare a number with the one that it should be."""

    needs: ClassVar[frozenset[str]] = frozenset({"score"})
    target_form: ClassVar[str] = "number"


def pairs_of(predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> tuple[Numbers, Numbers]:
    """Give predicted and true numbers, [rows] each, less the training split's mean: sums of squares then stay exact."""
    mean = facts.get("mean", 0.0)
    found, true = (np.array([item["score"] for item in items], np.float64) - mean for items in (predictions, truths))
    return found, true


class MeanSquaredError(NumberMetric):
    """Mean squared error, in the unit of the data squared."""

    greater_is_better: ClassVar[bool] = False

    type: Literal["mse"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Numbers:
        """Give squared error and 1 of each row, float64 [rows, 2]."""
        found, true = pairs_of(predictions, truths, facts)
        return np.stack([(found - true) ** 2, np.ones(len(true))], axis=1)

    def value(self, statistics: Numbers, facts: Facts) -> dict[str, float]:
        """Give ``{"mse": …}``; 0 for no row."""
        return {"mse": float(statistics[0] / max(1.0, statistics[1]))}


class MeanAbsoluteError(NumberMetric):
    """Mean absolute error, in the unit of the data."""

    greater_is_better: ClassVar[bool] = False

    type: Literal["mae"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Numbers:
        """Give absolute error and 1 of each row, float64 [rows, 2]."""
        found, true = pairs_of(predictions, truths, facts)
        return np.stack([np.abs(found - true), np.ones(len(true))], axis=1)

    def value(self, statistics: Numbers, facts: Facts) -> dict[str, float]:
        """Give ``{"mae": …}``; 0 for no row."""
        return {"mae": float(statistics[0] / max(1.0, statistics[1]))}


class R2(NumberMetric):
    """R² (coefficient of determination): the share of the targets' variance that the predictions explain.

    0 is what their mean reaches, and it may be negative. Where all targets are the same it is 1 if each is met, else 0.
    """

    type: Literal["r2"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Numbers:
        """Give squared error, number, its square, and 1 of each row, float64 [rows, 4]."""
        found, true = pairs_of(predictions, truths, facts)
        return np.stack([(found - true) ** 2, true, true**2, np.ones(len(true))], axis=1)

    def value(self, statistics: Numbers, facts: Facts) -> dict[str, float]:
        """Give ``{"r2": …}``; 0 for no row."""
        errors, true, squares, rows = statistics
        if not rows:
            return {"r2": 0.0}
        around = squares - true**2 / rows
        if around <= 1e-12 * squares:
            return {"r2": float(errors <= 1e-12 * max(squares, 1e-12))}
        return {"r2": float(1 - errors / around)}


class Pearson(NumberMetric):
    """Pearson's correlation of predictions and targets; 0 where one side is always the same number."""

    type: Literal["pearson"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Numbers:
        """Give both numbers, their squares, their product, and 1 of each row, float64 [rows, 6]."""
        found, true = pairs_of(predictions, truths, facts)
        return np.stack([found, true, found**2, true**2, found * true, np.ones(len(true))], axis=1)

    def value(self, statistics: Numbers, facts: Facts) -> dict[str, float]:
        """Give ``{"pearson": …}``, -1 to 1; 0 for no row."""
        x, y, xx, yy, xy, rows = statistics
        if not rows:
            return {"pearson": 0.0}
        own, other = xx - x * x / rows, yy - y * y / rows
        if own <= 1e-12 * xx or other <= 1e-12 * yy:
            return {"pearson": 0.0}
        return {"pearson": float(np.clip((xy - x * y / rows) / np.sqrt(own * other), -1, 1))}


class Spearman(NumberMetric):
    """Spearman's rank correlation of predictions and targets; equal numbers share the mean of their ranks.

    Predictions are equal to within a ten-thousandth of the targets' standard deviation: what rounding makes of one number in
    two batches is no order. 0 where one side is always the same number. Not additive: ranks are among all rows.
    """

    additive: ClassVar[bool] = False

    type: Literal["spearman"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Numbers:
        """Give both numbers of each row, float64 [rows, 2]."""
        found, true = pairs_of(predictions, truths, facts)
        step = 1e-4 * facts.get("sd", 0.0)
        return np.stack([np.round(found / step) * step if step else found, true], axis=1)

    def value(self, statistics: Numbers, facts: Facts) -> dict[str, float]:
        """Give ``{"spearman": …}``, -1 to 1; 0 for no row."""
        if not len(statistics):
            return {"spearman": 0.0}
        one, other = (_ranks(column) for column in statistics.T)
        norm = np.sqrt((one**2).sum() * (other**2).sum())
        return {"spearman": float(np.clip((one * other).sum() / norm, -1, 1)) if norm else 0.0}


def _ranks(values: Numbers) -> Numbers:
    """Ranks less their mean; equal values have the mean of the ranks that they share."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    result: Numbers = ranks[which] - (len(values) + 1) / 2
    return result
