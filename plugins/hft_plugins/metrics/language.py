"""Metrics of language models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import DataError, Facts, Metric, Prediction


class Perplexity(Metric):
    """Perplexity: exp of the mean negative log-likelihood of a token, in nats.

    Long texts weigh more than short ones, because the mean is over tokens and not over rows. For a masked
    model only the masked tokens count, so its figure compares with that of the same masking only.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"nll", "tokens"})
    greater_is_better: ClassVar[bool] = False

    type: Literal["perplexity"]

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give `nll` (nats, summed) and `tokens` of each row, float64 [rows, 2]; truths are unused."""
        statistics = np.empty((len(predictions), 2), np.float64)
        statistics[:, 0] = [row["nll"] for row in predictions]
        statistics[:, 1] = [row["tokens"] for row in predictions]
        return statistics

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"perplexity": …}``, 1 at best, infinite where it exceeds a float. Raises DataError without tokens."""
        nll, tokens = statistics
        if not tokens:
            raise DataError("perplexity: the rows have no token to predict; give longer texts or more of them")
        with np.errstate(over="ignore"):
            return {"perplexity": float(np.exp(nll / tokens))}
