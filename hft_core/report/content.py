"""What a report says: the shape of report.json, which `render` and `render_card` take as it is.

Everything is plain JSON. All keys are required; where a run has nothing to say, a list or dict is empty
and the keys typed ``| None`` are None. Texts are data: whoever shows them escapes them.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from hft_core.report.content_figures import (
    Ancestor,
    DataSource,
    Measured,
    Retained,
    Scores,
    Slice,
    TrainingCost,
)
from hft_core.report.content_figures import Figure as Figure

FORMAT = 1
"""Version of this shape; goes up when a key changes its meaning or goes away."""


Figures = dict[str, Figure]
"""Figures by the metric's name; the headline of each metric comes before its details (``f1`` before ``f1[label]``)."""


class Headline(TypedDict):
    """The figure that stands on top of the report."""

    split: str
    metric: str
    greater_is_better: bool


class Dropped(TypedDict):
    """Rows that one cleaner dropped for one reason."""

    component: str
    reason: str
    rows: int


class EditExample(TypedDict):
    """A text before and after one cleaner or augmenter."""

    component: str
    before: str
    after: str
    """Empty where the cleaner dropped the row."""


class Source(TypedDict):
    """The ledger of one split or unlabelled source: read = kept + quarantined + dropped."""

    name: str
    """`train`, `validation`, `test`, `corpus`, …"""
    found: dict[str, str]
    """What the reader found out about the source, such as its encoding."""
    read: int
    kept: int
    quarantined: dict[str, int]
    """Rows that could not be used, by reason."""
    dropped: list[Dropped]
    touched: dict[str, int]
    """Rows that a text cleaner changed, by cleaner; they are kept."""
    made: dict[str, int]
    """Derived rows, by what made them (augmenter, windows, pseudo-labels); not part of `read`."""
    unknown_rate: float | None
    """Share of the tokens that the vocabulary lacks, 0 to 1."""
    survey: NotRequired[dict[str, Any]]
    """What the rows look like, see `hft_core.data.survey.Survey`; absent for unlabelled text."""
    edits: list[EditExample]
    """A few examples of what cleaners changed or dropped, and of variants."""


class Check(TypedDict):
    """One finding about the data: leakage, label conflicts, duplicates, class balance, odd rows."""

    severity: Literal["ok", "info", "warning", "error"]
    title: str
    detail: str
    code: NotRequired[str]
    """A word for machines, such as `leakage`, `repeats`, `label-conflicts` or the reason of refused rows."""
    rows: NotRequired[int]
    """How many rows (of `label-conflicts`: texts) it is about."""
    examples: NotRequired[list[str]]
    """A few of the rows, each `line N: text`."""


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


class ClassFigures(TypedDict):
    """One class on the headline's split; the figures are fractions 0 to 1."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Rows of this class."""


class Confusion(TypedDict):
    """Rows of each true class (down) by predicted class (across) on the headline's split."""

    labels: list[str]
    matrix: list[list[int]]


class ErrorExample(TypedDict):
    """A row of the headline's split that the model got wrong, the surest first."""

    text: str
    truth: str
    predicted: str
    score: float | None
    """The model's score of its prediction, 0 to 1."""


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


class MarkContent(TypedDict):
    """A stretch of a passage, in characters of its text."""

    start: int
    end: int
    weight: float
    """-1 (speaks against) to 1 (speaks for)."""


class PassageContent(TypedDict):
    """A text with marks."""

    text: str
    marks: list[MarkContent]
    """In order, not overlapping."""
    title: str


class SectionContent(TypedDict):
    """What an exporter (or another part) adds."""

    title: str
    text: str
    table: list[dict[str, Any]]
    """Rows with the same keys, which are the column heads."""
    svg: str
    """A whole SVG image, or an empty string."""
    passages: NotRequired[list[PassageContent]]
    data: dict[str, Any]
    """The same for machines; not shown."""


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
