"""Metrics of retrieval: where each text's partner stands among the partners of all rows that are measured together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Facts, Metric, Prediction

_AT_ONCE = 1024
"""Texts whose cosines with all others are in memory together."""
_EQUAL = 1e-6
"""Cosines that are closer than this are equal: rounding differs with the batch that a text was in."""


class Retrieval(Metric):
    """Base: the different partners of the rows are a corpus, in which each row's first text looks for its own.

    A text belongs to a row if another row with the same first text, or of the same `label`, has it; the best placed one
    counts. A partner that is the first text itself is left out. Additive: what other rows there are is settled when the
    ranks are made, so intervals are over questions, with the corpus as it is.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"vector", "positive_vector"})

    @abstractmethod
    def gain(self, ranks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give what each row counts, 0 to 1, from its rank [rows], 1 being the best."""

    def rows(
        self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts
    ) -> NDArray[np.float64]:
        """Give what each row counts, and 1, float64 [rows, 2]."""
        if not predictions:
            return np.zeros((0, 2))
        gains = self.gain(ranks(predictions, truths))
        return np.stack([gains, np.ones_like(gains)], axis=1)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give the mean over the rows; 0 for no row."""
        return {self.type_name(): float(statistics[0] / statistics[1]) if statistics[1] else 0.0}


class MeanReciprocalRank(Retrieval):
    """MRR: the mean of 1 / rank, where rank 1 means that the own partner is the nearest (Voorhees 1999)."""

    type: Literal["mrr"]

    def gain(self, ranks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give 1 / rank."""
        return 1 / ranks


class RecallAt(Retrieval):
    """Recall at k: the share of rows whose own partner is among the k nearest; its figure is called `recall@k`."""

    type: Literal["recall-at"]
    k: int = Field(default=10, ge=1)
    """How many of the nearest count."""

    @property
    def title(self) -> str:
        """Its `name`, else `recall@k`, so that several can stand beside each other."""
        return self.name or f"recall@{self.k}"

    def gain(self, ranks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give 1 for a rank up to k; one that is shared with others counts as its mean."""
        return (ranks <= self.k).astype(np.float64)


def ranks(predictions: Sequence[Prediction], truths: Sequence[Prediction]) -> NDArray[np.float64]:
    """Give the rank of each row's best own partner, float64 [rows].

    Of partners that are equally near, each has the mean of their ranks: vectors that are all the same find nothing.
    """
    corpus = {text: place for place, text in enumerate(dict.fromkeys(truth["match"] for truth in truths))}
    row_of = {truth["match"]: row for row, truth in enumerate(truths)}
    documents = _unit([predictions[row_of[text]]["positive_vector"] for text in corpus])
    own = _own_places(truths, corpus)
    found = np.empty(len(truths))
    for start in range(0, len(truths), _AT_ONCE):
        piece = range(start, min(start + _AT_ONCE, len(truths)))
        cosines = _unit([predictions[row]["vector"] for row in piece]) @ documents.T
        for row, near in zip(piece, cosines, strict=True):
            best = near[own[row]].max()
            near[own[row]] = -np.inf  # what belongs to the row is no rival of itself
            if truths[row]["anchor"] in corpus:
                near[corpus[truths[row]["anchor"]]] = -np.inf
            nearer, equal = (near > best + _EQUAL).sum(), (np.abs(near - best) <= _EQUAL).sum()
            found[row] = 1 + nearer + equal / 2
    return found


def _own_places(truths: Sequence[Prediction], corpus: dict[str, int]) -> list[list[int]]:
    """The places in the corpus of what belongs to each row."""
    by_anchor: dict[str, set[int]] = {}
    by_group: dict[Any, set[int]] = {}
    for truth in truths:
        by_anchor.setdefault(truth["anchor"], set()).add(corpus[truth["match"]])
        if truth["group"] is not None:
            by_group.setdefault(truth["group"], set()).add(corpus[truth["match"]])
    return [sorted(by_anchor[truth["anchor"]] | by_group.get(truth["group"], set())) for truth in truths]


def _unit(vectors: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Vectors of length 1, float32 [rows, width]."""
    rows = np.array(vectors, np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
