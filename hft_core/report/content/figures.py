"""Shapes of what a report says about its figures: scores, slices, rows, cost, origin. A part of `content`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class Figure(TypedDict):
    """One figure with its interval."""

    value: float | None
    """With several seeds the mean over them, otherwise the model's own; None where it is no finite number."""
    low: float | None
    high: float | None
    """Borders of the interval of `value`; None where none was computed, or it is no finite number."""
    sd: NotRequired[float | None]
    """Standard deviation over seeds, with several."""
    shipped: NotRequired[float | None]
    """The figure of the model that ships (the best one on validation), with several seeds."""


class Bin(TypedDict):
    """Rows whose score is alike."""

    score: float
    """Their mean score."""
    right: float
    """The share of them that is right."""
    rows: int


class Calibration(TypedDict):
    """Whether scores say how often they are right, see `hft_core.evidence.calibration`."""

    ece: float
    by_chance: float
    """What 95 of 100 models that are calibrated perfectly stay below on as many rows."""
    bins: list[Bin]
    brier: Figure
    log_loss: Figure


class Ranked(TypedDict):
    """How well the scores of one label rank the rows: that label against the rest."""

    label: str
    rows: int
    roc_auc: float | None
    average_precision: float | None
    """None where all rows have the label, or none."""
    intervals: NotRequired[dict[str, tuple[float, float]]]
    """Low and high of 95 % over rows, of each of the two figures."""
    roc: NotRequired[list[tuple[float, float]]]
    """False positive rate, true positive rate."""
    pr: NotRequired[list[tuple[float, float]]]
    """Recall, precision."""


class Ranking(TypedDict):
    """The same of all labels; the figures are their means."""

    roc_auc: float | None
    average_precision: float | None
    intervals: NotRequired[dict[str, tuple[float, float]]]
    classes: list[Ranked]
    labels: int
    """How many there are; of many only the most frequent are ranked."""


class Scores(TypedDict):
    """What the scores of a model are worth."""

    form: Literal["label", "labels"]
    split: str
    rows: int
    calibration: Calibration
    untuned: Calibration | None
    """Before the temperature, where there is one."""
    ranking: Ranking
    temperature: NotRequired[float]
    uncalibrated: NotRequired[str]
    """Why the temperature was left at 1."""


class Slice(TypedDict):
    """The deciding figure on a part of the headline's rows, by the model that ships."""

    by: str
    """`length`, `language` (of a sample), or a column."""
    value: str
    rows: int
    figure: Figure
    rest: float
    """The same figure on the other rows."""
    adjusted: float | None
    """How likely a random part of so many rows would be as far off, corrected for all slices; None under 20 rows."""
    apart: bool
    """Whether that is at most 0.05."""


class Measured(TypedDict):
    """The rows of a split that the task which decides was measured on."""

    rows: int
    digest: str
    """A hash of the rows with their labels, as they were read."""


class TrainingCost(TypedDict):
    """What the stages of all seeds took; those of gates and baselines do not count."""

    stages: int
    seconds: float
    cpu_seconds: float


class DataSource(TypedDict):
    """A source of the recipe."""

    name: str
    type: str
    hub: str | None
    """Its name on the hub."""
    files: list[str]
    """Of each file the first 32 digits of its SHA-256; of a folder a hash of its files."""
    digest: str
    """A hash of all of its settings, files by content."""


class Ancestor(TypedDict):
    """What a model started from; of an earlier run also its `name`, when it was `created`, and by which `hft`."""

    what: str
    hub: str | None
    digest: str
    """A hash of the model's settings, with its files by content."""
    name: NotRequired[str]
    created: NotRequired[str]
    hft: NotRequired[str]


class Retained(TypedDict):
    """A task that the model knew before the run, before and after it."""

    task: str
    split: str
    metric: str
    greater_is_better: bool
    before: float
    after: float
    """The mean over seeds."""
    difference: float
    low: float
    high: float
    """Borders of the difference's interval of 95 %."""
    p: float
    """Two-sided."""
