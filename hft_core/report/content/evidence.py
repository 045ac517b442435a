"""What was compared: gates, baselines, seeds, and when the test was scored. A part of `content`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

_With = TypedDict("_With", {"with": NotRequired[list[float]]})


class Gate(_With):
    """What became of an entry with `when: helps`; one that went with its stage has `title`, `kept` and `verdict` only.

    One with or without which training diverges has `diverged` and `side` besides.
    """

    title: str
    kept: bool
    verdict: Literal["helps", "harms", "unproven", "not tried"]
    diverged: NotRequired[str]
    """What went wrong in training."""
    side: NotRequired[Literal["without", "with", "both"]]
    """Where it went wrong."""
    metric: NotRequired[str]
    without: NotRequired[list[float]]
    """The metric of each seed, without the entry; `with` has those with it."""
    difference: NotRequired[float]
    """Mean of the metric with the entry, less that without."""
    low: NotRequired[float]
    high: NotRequired[float]
    """Borders of the difference's interval of 95 %."""
    standard_error: NotRequired[float]
    p: NotRequired[float]
    """One-sided."""
    smallest: NotRequired[float]
    """The true difference that this gate would have seen in 80 % of the cases."""
    settling: NotRequired[dict[str, int | None] | None]
    """For `unproven`: `rows`, or `seeds`, that would show a difference of the measured size; None where no number would."""
    seeds: NotRequired[int]
    rows: NotRequired[int]
    folds: NotRequired[bool]
    """Whether it was decided by cross-validation."""
    one_class: NotRequired[dict[str, list[int]]]
    """By side, the seeds (from 0) whose model gives every row the same label."""


class Compared(TypedDict):
    """The model against one baseline, on the figure that decides."""

    baseline: str
    split: str
    metric: str
    difference: float
    """The model's figure less the baseline's."""
    low: float
    high: float
    """Borders of the interval of 95 %."""
    p: float
    """Two-sided."""
    adjusted: float
    """Corrected for all of the comparisons by Holm's method."""


class OfSeed(TypedDict):
    """The deciding figure of one seed."""

    seed: int
    figures: dict[str, float]
    """By split."""
    one_class: bool
    """Whether its model gives every row the same label."""


class Scored(TypedDict):
    """When the test labels were scored."""

    when: str
    """ISO 8601, with the time zone."""
    earlier: int
    """Other runs of the same store that scored the same labels before."""
