"""What tuning has found: the shape of tune.json. A part of `content`."""

from __future__ import annotations

from typing import Any, TypedDict

from hft_core.report.content.evidence import Gate


class Change(TypedDict):
    """A new value of a field of the recipe."""

    path: str
    before: Any
    """None where the recipe left a component to its default."""
    after: Any


class TuningRound(TypedDict):
    """One change that tuning has tried."""

    name: str
    """That of the finding of the diagnosis, or of a usual step: `higher-rate`, `lower-rate`, `more-epochs`, …"""
    where: str
    seen: str
    """The evidence."""
    changes: list[Change]
    gate: Gate
    """The comparison; `seeds` is 1 where the change was given up after one."""
    runs: int
    """Trainings that it took."""


class TuningContent(TypedDict):
    """What tuning has found: the shape of tune.json."""

    format: int
    name: str
    metric: str
    greater_is_better: bool
    seeds: int
    rows: int
    """Rows of validation."""
    folds: bool
    """Whether changes were compared by cross-validation over train and validation."""
    start: list[float] | None
    """The figure of each seed, of the recipe as it was written; None where its training diverged."""
    end: list[float] | None
    """With all changes that stayed."""
    rounds: list[TuningRound]
    ended: str
    """`budget`, `nothing left`, or nothing while it goes on."""
    runs: int
    """Trainings of a recipe with one seed that were compared, those that the store had included."""
    seconds: float
    """Of the last call."""
