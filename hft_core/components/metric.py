"""Metric: predictions against targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hft_core.components.base import Component
from hft_core.components.task import Facts, Prediction


class Metric(Component):
    """Base of metrics: statistics per row, and a value of them. Streaming, ranks and bootstrap use only these two."""

    kind: ClassVar[str] = "metric"
    needs: ClassVar[frozenset[str]]
    """Keys that a prediction must have: {"label"}, {"scores"}, {"nll", "tokens"}."""
    additive: ClassVar[bool] = True
    """Whether `value` takes the sum of the rows' statistics; otherwise it takes the stack [rows, k]."""
    greater_is_better: ClassVar[bool] = True

    @abstractmethod
    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give the statistics of each row, float64 [rows, k]: hits, true and false positives, n-gram counts."""

    @abstractmethod
    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give named values of summed statistics [k] (stacked ones [rows, k] where not additive).

        The first name is the headline figure; it should be the metric's type or start with it.
        """

    def measure(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> dict[str, Any]:
        """Give the values of these predictions."""
        statistics = self.rows(predictions, truths, facts)
        return self.value(statistics.sum(axis=0) if self.additive else statistics, facts)
