"""What a stage gets to train, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hft_core.components import Columns, Facts, HeadSpec, Metric, Model, Preprocessor, Task, Technique
from hft_core.components.net import Net
from hft_core.recipe.metrics import Best
from hft_core.recipe.model import Stage
from hft_core.training.stopping import StopRequest
from hft_core.training.streams import LiveStream


@dataclass(frozen=True)
class Validation:
    """What a task is measured by after each epoch."""

    head: str
    """The task's name."""
    task: Task
    facts: Facts
    columns: Columns
    """Cleaned validation rows."""
    metrics: Sequence[Metric]
    prefix: str = ""
    """What its figures' names begin with, where there are several tasks: `TASK.`"""


@dataclass
class Job:
    """Everything that one stage needs."""

    stage: Stage
    model: Model
    start: Path | None
    preprocessor: Preprocessor
    streams: Sequence[LiveStream]
    heads: dict[str, HeadSpec]
    seed: int
    precision: str
    validations: Sequence[Validation]
    """One per task that the stage trains; none in a pretrain stage."""
    best: Best | None
    """The figure that chooses the best epoch; None: the held-out loss of the text streams."""
    work: Path
    """Where checkpoints go."""
    stop: StopRequest
    say: Callable[[str], None]
    advance: Callable[[int, int, dict[str, float]], None]
    """Called after each step with step, steps and figures."""
    metrics: Sequence[Metric] = ()
    """Metrics of language-modelling statistics."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """How several processes share the weights, see `sharding`."""
    tell: Callable[[str, Mapping[str, Any]], None] = lambda event, fields: None
    """Called with what happened, and its figures: `resumed`, `train` (a point of the curve), `validation`, `checkpoint`,
    `divided` (memory did not suffice)."""


@dataclass
class Result:
    """What became of a stage."""

    net: Net
    steps: int
    seconds: float
    cpu_seconds: dict[str, float]
    """CPU time of this process: `train`, and `validation`; since the last resumption."""
    history: list[dict[str, Any]] = field(default_factory=list)
    best_step: int | None = None
    notes: list[str] = field(default_factory=list)
    techniques: Sequence[tuple[Technique, Any]] = ()
    """The stage's techniques with their states, for what they save beside the model."""
