"""Where a task's model is right and wrong. A part of `content`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from hft_core.report.content.figures import Scores


class ClassFigures(TypedDict):
    """One class on the headline's split; the figures are fractions 0 to 1."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Rows of this class."""


class Confused(TypedDict):
    """Rows of one class that were taken for another."""

    truth: str
    predicted: str
    rows: int
    share: float
    """Of the true class's rows."""


class Confusion(TypedDict):
    """Rows of each true class (down) by predicted class (across) on the headline's split."""

    labels: list[str]
    matrix: list[list[int]]
    """Empty where there are more than 50 classes."""
    worst: NotRequired[list[Confused]]
    """In place of the matrix, the ten most frequent confusions."""


class ErrorExample(TypedDict):
    """A row of the headline's split that the model got wrong, the surest first."""

    text: str
    truth: str
    predicted: str
    score: float | None
    """The model's score of its prediction, 0 to 1."""


class Details(TypedDict):
    """Where a task's model is wrong."""

    per_class: list[ClassFigures]
    confusion: Confusion | None
    errors: list[ErrorExample]
    scores: NotRequired[Scores]
    """Of tasks with labels."""


class OtherTask(Details):
    """The same of a task that does not decide."""

    task: str
    split: str
