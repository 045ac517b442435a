"""What a search has found: the shape of search.json. A part of `content`."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Trial(TypedDict):
    """One trial of a search."""

    number: int
    """From 0."""
    state: str
    """`complete`; `pruned`: ended early, for others were better at the same epoch; `bad`: it came to no figure; `failed`;
    `running`, `waiting`."""
    figure: float | None
    """The deciding figure on validation, at the best epoch; None unless it is complete."""
    values: dict[str, Any]
    """By field."""
    curve: list[tuple[int, float | None]]
    """Epochs with the figure after each, of the first seed."""
    seconds: NotRequired[float]
    cpu_seconds: NotRequired[float]
    """Of all of its process's work, data and evaluation included; of the last try, where it was interrupted."""
    reason: NotRequired[str]
    """Why it is bad or failed."""
    seeds: NotRequired[list[float]]
    """The figure of each seed."""


class SearchCost(TypedDict):
    """What the ended trials of a search took together."""

    seconds: float
    cpu_seconds: float
    stages: int
    """Stages that the complete trials consist of."""
    trained: int
    """Those of them that were trained; the others were in the store, as earlier trials had made them."""


class SearchContent(TypedDict):
    """What a search has found: the shape of search.json."""

    format: int
    name: str
    study: str
    storage: str
    """The database's URL, without a password."""
    metric: str
    greater_is_better: bool
    space: dict[str, dict[str, Any]]
    """By field what was searched, as in the recipe."""
    trials: list[Trial]
    best: int | None
    """The number of the best complete trial."""
    written: float | None
    """The figure of the recipe as it is written, which is the first trial where the space has it."""
    importance: dict[str, float]
    """By field, summing to 1; empty where too few trials are complete."""
    limit: int | None
    """How many trials were asked for."""
    complete: bool
    """Whether as many have ended."""
    rows: int | None
    """Rows of validation."""
    cost: SearchCost
    written_at: str
    """ISO 8601, with the time zone."""
