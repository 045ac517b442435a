"""Whether two predictions agree: what golden vectors and the parity check compare. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

TIE = 1e-4
"""Two best scores that are closer than this are a tie: rounding may decide it either way."""


def decision(prediction: Any) -> Any:
    """Give what a prediction decides: everything in it but floating-point numbers and runners-up (`n_best`)."""
    if isinstance(prediction, Mapping):
        kept = {key: decision(value) for key, value in prediction.items() if key != "n_best"}
        return {key: value for key, value in kept.items() if value is not None}
    if isinstance(prediction, list | tuple):
        return [part for part in map(decision, prediction) if part is not None]
    return None if isinstance(prediction, float) else prediction


def margin(prediction: Mapping[str, Any]) -> float:
    """Give how close the prediction was to another: its `margin`, else the distance of its two best `scores`.

    Infinite where it has neither.
    """
    if isinstance(prediction.get("margin"), float):
        return float(prediction["margin"])
    scores = prediction.get("scores")
    values = sorted(scores.values() if isinstance(scores, Mapping) else scores or [], reverse=True)
    return float(values[0] - values[1]) if len(values) > 1 else math.inf


def same_decision(reference: Mapping[str, Any], other: Mapping[str, Any], tie: float = TIE) -> bool:
    """Whether both decide alike, or the reference is a tie."""
    return bool(decision(reference) == decision(other)) or margin(reference) < tie


def drift(reference: Any, other: Any) -> float:
    """Give the largest difference of floating-point numbers at the same place, of those over 1 as a share of them.

    A list of such numbers is a vector: its difference is the length of the difference. Runners-up (`n_best`), which may
    change places, are left out. Infinite where one is NaN or missing, and for lists of different lengths: compare
    predictions that decide alike. Shares, because a sum over hundreds of tokens rounds by hundreds of roundings.
    """
    if isinstance(reference, Mapping) and isinstance(other, Mapping):
        kept = {key: value for key, value in reference.items() if key != "n_best"}
        return max((drift(value, other.get(key)) for key, value in kept.items()), default=0.0)
    if isinstance(reference, list | tuple) and isinstance(other, list | tuple):
        if len(reference) != len(other):
            return math.inf
        if reference and all(isinstance(number, float) for number in reference):
            return _distance(reference, other)
        return max((drift(one, two) for one, two in zip(reference, other, strict=True)), default=0.0)
    if not isinstance(reference, float):
        return 0.0
    if not isinstance(other, int | float):
        return math.inf
    if reference == other:
        return 0.0  # two infinities, too
    difference = abs(reference - other)
    return difference / max(1.0, abs(reference)) if math.isfinite(difference) else math.inf


def _distance(reference: Sequence[float], other: Sequence[Any]) -> float:
    """How far a vector is from another, as a share of its length where that exceeds 1; infinite where one has no number."""
    if not all(isinstance(number, int | float) for number in other):
        return math.inf
    far = math.dist(reference, other) / max(1.0, math.hypot(*reference))
    return far if math.isfinite(far) else math.inf
