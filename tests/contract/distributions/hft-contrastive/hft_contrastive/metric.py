"""The metric `pair-retrieval`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, Prediction


class PairRetrieval(Metric):
    """Pair retrieval: the share of anchors to which no other row's positive is nearer than their own.

    Not additive: each row is compared with all others.
    """

    type: Literal["pair-retrieval"]

    needs: ClassVar[frozenset[str]] = frozenset({"vectors"})
    additive: ClassVar[bool] = False

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give each row's two vectors behind one another, float64 [rows, 2 × size]."""
        vectors = np.array([prediction["vectors"] for prediction in predictions], np.float64)
        return vectors.reshape(len(predictions), -1)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"pair-retrieval": …}``; 0 for no row. A row that stands there twice is no rival of itself."""
        if not len(statistics):
            return {"pair-retrieval": 0.0}
        anchors, positives = np.split(statistics, 2, axis=1)
        similarity = anchors @ positives.T
        own = np.diagonal(similarity)
        return {"pair-retrieval": float((own >= similarity.max(axis=1) - 1e-9).mean())}
