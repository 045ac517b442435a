"""What stages did, and what a diagnosis says of them. A part of `content`."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Point(TypedDict):
    """One point of a stage's curves."""

    step: int
    epoch: float
    losses: NotRequired[dict[str, float]]
    """Training loss of each objective; absent where the point is a validation only."""
    lr: NotRequired[float]
    """The largest learning rate among the parameter groups."""
    norm: NotRequired[float]
    """The gradient's norm before clipping, the mean over the steps since the point before."""
    moved: NotRequired[float | None]
    """How far the weights are from where they started, relative to their size there (of a sample of all matrices)."""
    validation: NotRequired[dict[str, float]]
    """Headline figures on validation, where the point is one at which it was measured."""


class Perplexity(TypedDict):
    """e to the mean loss of a token of held-out text (of masked language modelling: of a hidden one)."""

    objective: str
    before: float
    """By the model that the stage starts from."""
    after: float
    """By the one that it leaves."""
    step: int
    """The step that it was left at."""


class Stage(TypedDict):
    """What one stage did."""

    name: str
    kind: str
    """`pretrain`, `finetune`."""
    seconds: float
    steps: int
    curves: list[Point]
    notes: list[str]
    perplexity: NotRequired[list[Perplexity]]
    """Of a pretrain stage, for each objective of language modelling."""


class Diagnosed(TypedDict):
    """Something that went wrong or could be better, see `hft_core.evidence.diagnosis.Finding`."""

    name: str
    """Such as `learning-rate-too-high`."""
    where: str
    """The stage or the task."""
    evidence: str
    advice: str
    changes: dict[str, Any]
    """New values by their paths in the recipe of this report."""
