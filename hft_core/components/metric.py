"""Metric: predictions against targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hft_core.components.base import Component
from hft_core.components.task import Facts, Prediction
from hft_core.errors import PluginError


class Metric(Component):
    """Base of metrics: statistics per row, and a value of them. Streaming, ranks and bootstrap use only these two."""

    kind: ClassVar[str] = "metric"
    needs: ClassVar[frozenset[str]]
    """Keys that a prediction must have: {"label"}, {"scores"}, {"nll", "tokens"}."""
    target_form: ClassVar[str | None] = None
    """The only form of targets that it measures, see `Task.target_form`; None: its `needs` say all."""
    additive: ClassVar[bool] = True
    """Whether `value` takes the sum of the rows' statistics; otherwise it takes the stack [rows, k]."""
    greater_is_better: ClassVar[bool] = True
    """Which way its headline figure improves."""

    @abstractmethod
    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give the statistics of each row, float64 [rows, k]: hits, true and false positives, n-gram counts."""

    @abstractmethod
    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give named values of summed statistics [k] (stacked ones [rows, k] where not additive).

        The first name is the headline figure and is the metric's type; details follow as ``type[…]``.
        """

    def identity(self) -> dict[str, Any]:
        """The name counts: figures are kept under it."""
        return super().identity() | {"name": self.title}

    def figures(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give `value` of the statistics of rows [rows, k] or their sum [k], under the entry's own name."""
        if self.additive and statistics.ndim == 2:
            statistics = statistics.sum(axis=0)
        own = self.type_name()
        found: Any = self.value(statistics, facts)
        if not isinstance(found, dict):
            kind = type(found).__name__
            raise PluginError(f"metric {own!r}: its value() gave a {kind}, but has to give {{{own!r}: number, …}}")
        return {self.title + name.removeprefix(own): value for name, value in found.items()}

    def measure(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> dict[str, Any]:
        """Give the values of these predictions."""
        return self.figures(self.rows(predictions, truths, facts), facts)
