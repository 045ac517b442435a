"""Reading a stage's curves: where the loss began and ended, how high it rose, how far the weights went."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hft_core.evidence.diagnosis.seen import StageSeen


@dataclass(frozen=True)
class Curve:
    """What the history of one seed says of the objective that leads the stage."""

    first: float
    """The loss of the first step, which nothing has changed yet (or of the first logged steps)."""
    last: float
    """The mean of the last tenth of the logged losses."""
    highest: float
    """The largest median of three logged losses in a row: a single batch proves nothing."""
    moved: float | None
    """How far the weights went, relative to their size at the start."""


def curves(stage: StageSeen) -> list[Curve]:
    """Read the history of each seed; those without a single loss are left out."""
    return [found for history in stage.histories if (found := _curve(history))]


def _curve(history: Sequence[Mapping[str, Any]]) -> Curve | None:
    points = [point for point in history if point.get("losses")]
    if not points:
        return None
    leads = next(iter(points[0]["losses"]))
    losses = [point["losses"][leads] for point in points if leads in point["losses"]]
    tail = losses[-max(1, len(losses) // 10) :]
    medians = [sorted(losses[at : at + 3])[1] for at in range(len(losses) - 2)]
    moved = [point["moved"] for point in points if point.get("moved") is not None]
    return Curve(losses[0], sum(tail) / len(tail), max(medians, default=losses[0]), moved[-1] if moved else None)


def validations(history: Sequence[Mapping[str, Any]], figure: str) -> list[tuple[float, float]]:
    """A figure on validation as training went on: epoch and value."""
    return [
        (point["epoch"], point["validation"][figure])
        for point in history
        if figure in point.get("validation", {}) and point["step"]
    ]


def entropy(counts: Iterable[int]) -> float | None:
    """The loss of a model that knows how frequent each label is, and nothing else; None without labels."""
    some = [count for count in counts if count]
    total = sum(some)
    return -sum(count / total * math.log(count / total) for count in some) if len(some) > 1 else None


def mostly(signs: Sequence[bool]) -> bool:
    """Whether more than half of the seeds show a sign."""
    return 2 * sum(signs) > len(signs)


def middle(values: Sequence[float]) -> float:
    """The median, of an even number the lower one: a value that was measured."""
    return sorted(values)[(len(values) - 1) // 2]
