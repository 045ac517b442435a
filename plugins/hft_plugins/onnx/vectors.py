"""What 'the same decision' means for vectors: they point where the model's point, and have the same nearest neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hft_core import Prediction
from hft_core.runtime.agreement import TIE

VECTOR = "vector"
"""The key of a prediction that holds one."""


@dataclass(frozen=True)
class Bounds:
    """What a precision may change of vectors."""

    turn: float
    """Largest distance of a vector from the model's own: 1 - cosine."""
    tie: float
    """Two neighbours whose cosines differ by less, as the model has them, are equally near."""
    flips: float
    """Share of rows whose nearest neighbour among the others is another, ties left out."""


BOUNDS = {
    "fp32": Bounds(1e-5, TIE, 0.0),
    "fp16": Bounds(1e-3, 1e-3, 0.001),
    "int8": Bounds(0.05, 0.02, 0.02),
    "w8": Bounds(0.05, 0.02, 0.02),
    "w4": Bounds(0.05, 0.02, 0.02),
}


@dataclass(frozen=True)
class Compared:
    """How vectors of a precision stand to the model's."""

    turn: float
    """Largest distance of a vector from the model's own."""
    flips: float
    """Share of the rows whose nearest neighbour is another, and no tie."""
    ties: int
    """Rows whose nearest neighbour is another that is as near."""


def compared(precision: str, reference: Sequence[Prediction], found: Sequence[Prediction]) -> Compared | None:
    """Compare predictions of the same rows; None where they hold no vectors."""
    if not reference or not isinstance(reference[0].get(VECTOR), list):
        return None
    own, other = (_unit([row[VECTOR] for row in rows]) for rows in (reference, found))
    turn = float((1 - np.einsum("ij,ij->i", own, other)).max())
    if len(own) < 3:  # with one other row there is no choice
        return Compared(turn, 0.0, 0)
    by_model = own @ own.T
    by_other = other @ other.T
    for cosines in (by_model, by_other):
        np.fill_diagonal(cosines, -np.inf)
    rows = np.arange(len(own))
    farther = by_model.max(1) - by_model[rows, by_other.argmax(1)]
    flipped = farther > BOUNDS[precision].tie
    ties = int((by_model.argmax(1) != by_other.argmax(1)).sum() - flipped.sum())
    return Compared(turn, float(flipped.mean()), ties)


def _unit(vectors: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    rows = np.array(vectors, np.float64)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float64)
