"""What a report says: the shape of report.json, which `render` and `render_card` take as it is.

Everything is plain JSON. All keys are required; where a run has nothing to say, a list or dict is empty
and the keys typed ``| None`` are None. Texts are data: whoever shows them escapes them.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from hft_core.report.content.data import Check, Source
from hft_core.report.content.evaluation import ClassFigures, Confusion, ErrorExample, OtherTask
from hft_core.report.content.evidence import Compared, Gate, OfSeed, Scored
from hft_core.report.content.figures import (
    Ancestor,
    DataSource,
    Figure,
    Measured,
    Retained,
    Scores,
    Slice,
    TrainingCost,
)
from hft_core.report.content.search import SearchContent
from hft_core.report.content.sections import SectionContent
from hft_core.report.content.training import Diagnosed, Stage
from hft_core.report.content.tuning import TuningContent

FORMAT = 1
"""Version of this shape; goes up when a key changes its meaning or goes away."""

Figures = dict[str, Figure]
"""Figures by the metric's name; the headline of each metric comes before its details (``f1`` before ``f1[label]``)."""


class Headline(TypedDict):
    """The figure that stands on top of the report."""

    split: str
    metric: str
    greater_is_better: bool


class Command(TypedDict):
    """What to type next."""

    command: str
    purpose: str


class Report(TypedDict):
    """The whole report."""

    format: int
    """`FORMAT`."""
    name: str
    created: str
    """ISO 8601, with the time zone."""
    hft: str
    """The version of hft."""
    seeds: list[int]
    task: str | None
    """The task's type, such as `text-classification`; None for a run that only pre-trains."""
    model: str
    """In words: what was trained, and from what."""
    base_model: str | None
    """The hub name of the model that the run started from, None for a fresh model or a folder."""
    recipe: str
    """The recipe as YAML."""
    headline: Headline | None
    headlines: list[dict[str, str]]
    """`split` and `metric` of the figure that people look at first, for each task."""
    intervals: str
    """In words: what intervals are over, such as `95 %, over rows, one seed`."""
    metrics: dict[str, Figures]
    """Of the model, by split."""
    baselines: dict[str, dict[str, Figures]]
    """By the baseline's name, then as `metrics`. `before` is the model that the run starts from, on the tasks that it knew."""
    comparisons: list[Compared]
    by_seed: list[OfSeed]
    """With several seeds."""
    gates: list[Gate]
    """In the recipe's order."""
    scored: Scored | None
    """None without a test."""
    per_class: list[ClassFigures]
    """This, `confusion` and `errors` are of the task that decides."""
    confusion: Confusion | None
    errors: list[ErrorExample]
    scores: NotRequired[Scores]
    slices: NotRequired[list[Slice]]
    retained: NotRequired[list[Retained]]
    sources: NotRequired[list[DataSource]]
    lineage: NotRequired[list[Ancestor]]
    """What the model started from, the nearest first."""
    license: NotRequired[str | None]
    """The model's licence, by the hub's name for it; None where nobody said it."""
    ablation: NotRequired[dict[str, Any] | None]
    """What `hft ablate` found of the same recipe, as it writes it."""
    measured: NotRequired[dict[str, Measured]]
    """By split."""
    cost: NotRequired[TrainingCost]
    other_tasks: list[OtherTask]
    """Of a run with several tasks, those beside it."""
    diagnosis: list[Diagnosed]
    ledger: list[Source]
    checks: list[Check]
    stages: list[Stage]
    sections: list[SectionContent]
    refused: list[str]
    """Variants that were not written because they do not behave like the model, one sentence each."""
    warnings: list[str]
    environment: dict[str, Any]
    """What the figures depend on: `versions` (a dict), `cpu`, `threads`, `precision`, …; values are shown as text."""
    next: list[Command]
    search: SearchContent | None
    """None unless the run is that of a search's best trial."""
    tuning: NotRequired[TuningContent]
    """Of a run whose recipe `hft tune` has written."""
