"""Metrics of written texts: translations, summaries, corrections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, Prediction

_ORDER, _BETA = 6, 2


class ExactMatch(Metric):
    """Exact match: the share of rows whose text is the wanted one, whitespace at the ends aside."""

    type: Literal["exact-match"]

    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give hit (0 or 1) and 1 of each row, float64 [rows, 2]."""
        hits = [one["text"].strip() == two["text"].strip() for one, two in zip(predictions, truths, strict=True)]
        return np.stack([np.array(hits, np.float64), np.ones(len(hits))], axis=1)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"exact-match": …}``, 0 to 1; 0 for no row."""
        return {"exact-match": float(statistics[0] / max(1.0, statistics[1]))}


class ChrF(Metric):
    """chrF (Popović 2015): an F-score of the character n-grams (1 to 6) that a text shares with the wanted one.

    Recall counts twice as much as precision (β = 2), and whitespace does not count, so it needs no words and serves
    Chinese as well. n-grams are counted over all rows. Equals sacrebleu's chrF2, divided by 100.
    """

    type: Literal["chrf"]

    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give of each n the n-grams that are shared, written and wanted, float64 [rows, 3 · 6]."""
        pairs = zip(predictions, truths, strict=True)
        counted = [_counts(one["text"], two["text"]) for one, two in pairs]
        return np.array(counted, np.float64).reshape(len(truths), 3 * _ORDER)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"chrf": …}``, 0 to 1; of the n that no text is long enough for, nothing counts."""
        counts = statistics.reshape(_ORDER, 3)
        shared, written, wanted = counts[(counts[:, 1:] > 0).all(axis=1)].T
        if not shared.sum():
            return {"chrf": 0.0}
        precision, recall = (shared / written).mean(), (shared / wanted).mean()
        return {"chrf": float((1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall))}


def _counts(written: str, wanted: str) -> list[int]:
    one, two = "".join(written.split()), "".join(wanted.split())
    result: list[int] = []
    for size in range(1, _ORDER + 1):
        mine, theirs = _grams(one, size), _grams(two, size)
        # Where the wanted text is too short for any, those that are written are no mistake.
        result += [(mine & theirs).total(), mine.total() if theirs else 0, theirs.total()]
    return result


def _grams(text: str, size: int) -> Counter[str]:
    return Counter(text[start : start + size] for start in range(len(text) - size + 1))
