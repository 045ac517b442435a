"""What a run has recorded, as far as a diagnosis goes by it; plain values, so that rules are plain functions of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StageSeen:
    """One stage of training."""

    index: int
    """Its place in the recipe."""
    name: str
    optimizer: str
    """Its type."""
    optimizer_written: bool
    """Whether the recipe has it; otherwise it is the default."""
    lr: float
    epochs: float
    """As the recipe has them, or those that early stopping left."""
    steps: int
    known: bool
    """Whether it trained the very weights of a model that knew something, and not new ones: a fresh model's, or a technique's."""
    histories: Sequence[Sequence[Mapping[str, Any]]]
    """Per seed (one where seeds share the stage), see `hft_core.report.content.Point`."""

    def optimizer_with(self, lr: float) -> dict[str, Any]:
        """The change of the recipe that gives the stage another rate."""
        if self.optimizer_written:
            return {f"stages.{self.index}.optimizer.lr": lr}
        return {f"stages.{self.index}.optimizer": {"type": self.optimizer, "lr": lr}}


@dataclass(frozen=True)
class TaskSeen:
    """One task: its figure on validation beside baselines, and what its rows look like."""

    name: str
    metric: str
    """The figure that decides."""
    greater_is_better: bool
    rows: int
    """Of validation."""
    figures: Sequence[float]
    """Per seed, on validation."""
    fitted: Sequence[float | None]
    """Per seed, the same figure on rows that the model was trained on."""
    constant: float | None
    """The figure of predicting the same for every row."""
    linear: Mapping[str, float]
    """Figures of linear models: on TF-IDF, on the frozen model's vectors."""
    labels: Mapping[str, int]
    """Training rows by label."""
    pairs: Sequence[Mapping[str, Mapping[str, int]]]
    """Per seed, validation rows by true label, then by predicted label; empty where rows have no single label."""
    sure: Sequence[Mapping[str, int] | None]
    """Per seed, see `label_noise.surest`: the model on validation rows."""
    doubts: Mapping[str, Any] | None
    """The same of linear models on training rows that they have not seen; with `chance` (the agreement of predictions that
    do not depend on the text) and `validation` (`rows`, and of them `right`)."""
    tokens: Mapping[str, Any] | None
    """Of a sample of training rows: `limit` (longest input), `lost` (share of the tokens beyond it), `cut` (share of the
    rows), `lengths` (`median`, `p95`)."""
    longest: int | None
    """The recipe's own `max_length` of the model; None: as long as the model takes, or the model has no such setting."""
    stage: int | None
    """The last stage that trains it, by its place in the recipe."""
    objective: ObjectiveSeen | None
    """Its objective there."""

    @property
    def is_share(self) -> bool:
        """Whether the figure is a share of something, 0 to 1: of another one nobody knows which difference is large."""
        return self.greater_is_better and all(0 <= value <= 1 for value in (*self.figures, *self.linear.values()))

    def objective_with(self, field: str, value: Any) -> dict[str, Any]:
        """The change of the recipe that sets a field of the objective; empty where it has none of this name."""
        own = self.objective
        if own is None or field not in own.fields:
            return {}
        if own.written["type"] == own.type:
            return {f"{own.path}.{field}": value}
        return {own.path: {**own.written, "type": own.type, field: value}}


@dataclass(frozen=True)
class ObjectiveSeen:
    """An objective of a stage."""

    path: str
    """Where it stands in the recipe, such as `stages.0.objectives.0`."""
    written: Mapping[str, Any]
    """As the recipe has it; its type may be `task`."""
    type: str
    """What that stands for."""
    fields: Sequence[str]
    """Its settings."""


@dataclass(frozen=True)
class Seen:
    """All of a run."""

    stages: Sequence[StageSeen]
    tasks: Sequence[TaskSeen]
