"""The metric `exact-text`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, Prediction


class ExactText(Metric):
    """Exact text: the share of rows whose text is the wanted one, whitespace at the ends aside."""

    type: Literal["exact-text"]

    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give hit (0 or 1) and 1 of each row, float64 [rows, 2]."""
        hits = [one["text"].strip() == two["text"].strip() for one, two in zip(predictions, truths, strict=True)]
        return np.stack([np.array(hits, np.float64), np.ones(len(hits))], axis=1)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"exact-text": …}``; 0 for no row."""
        return {"exact-text": float(statistics[0] / max(1.0, statistics[1]))}
