"""The recipe's static model, typed for the core; `narrow` fits it to what is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from hft_core.components import (
    NAME,
    Augmenter,
    Cleaner,
    Exporter,
    Loss,
    Metric,
    Model,
    Objective,
    Optimizer,
    Reader,
    Schedule,
    Settings,
    Task,
    Technique,
)
from hft_core.recipe.search import Search
from hft_core.recipe.trackers import OneTracker, Tracker

SPLITS = ("train", "validation", "test")
"""Names of the sources that belong to a task; all others are unlabelled text."""
MAIN = "main"
"""The name of the task that a recipe gives as `task`."""


class Split(Settings):
    """Shares of the training source that are set aside by a hash of each text; copies of a text stay together."""

    validation: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of rows for validation."""
    test: float | None = Field(default=None, gt=0, lt=0.9)
    """Share of rows for the test, where there is no test source."""

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.validation + (self.test or 0) > 0.9:
            raise ValueError(f"validation {self.validation} and test {self.test} leave too little of train; lower them")
        return self


class TaskData(Settings):
    """The data of one task, where a recipe has several."""

    train: Reader
    """Rows to train on."""
    validation: Reader | None = None
    """Rows to choose the best checkpoint by; default: a part of train, see `split`."""
    test: Reader | None = None
    """Rows to measure the finished model by."""
    split: Split | None = None
    """How to split `train` where it has no `validation` beside it; default: 10 % for validation."""


class Data(Settings):
    """Data sources by name: `train`, `validation` and `test` belong to the task, others (`corpus`, …) are yours.

    A recipe with several tasks has the three under each task's name: ``nli: {train: …, validation: …}``.
    """

    sources: dict[str, Reader] = Field(default_factory=dict)
    """A recipe writes the sources directly under `data`."""
    tasks: dict[str, TaskData] = Field(default_factory=dict)
    """A recipe writes the tasks' names directly under `data`."""
    split: Split | None = None
    """How to split `train` where it has no `validation` beside it; default: 10 % for validation."""

    @model_validator(mode="before")
    @classmethod
    def _gather_sources(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        own = {"split"} & set(value)
        of_tasks = [key for key in value if key not in own and _is_task_data(value[key])]
        sources = {key: value[key] for key in value if key not in (*own, *of_tasks)}
        return {key: value[key] for key in own} | {"sources": sources, "tasks": {key: value[key] for key in of_tasks}}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the form that a recipe has: sources and tasks' data directly under `data`."""
        described = handler.resolve_ref_schema(super().__get_pydantic_json_schema__(schema, handler))
        forms = [described["properties"].pop(name, {}).get("additionalProperties", True) for name in DIRECT]
        described["additionalProperties"] = {"anyOf": forms}
        return described


DIRECT = ("sources", "tasks")
"""Fields of `Data` whose entries a recipe writes directly under `data`."""


def _is_task_data(value: Any) -> bool:
    """Whether an entry of `data` is a task's group of sources and no source, whose settings are no mappings."""
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Mapping) for item in value.values())


class Prepare(Settings):
    """What happens to the data before anything is trained."""

    leakage: Literal["report", "drop-from-train", "fail"] = "report"
    """What happens where texts of train stand in validation or test too, or nearly so: say it in the report; drop them from
    train, before any cleaner; or stop before anything is trained."""
    clean: list[Cleaner] = Field(default_factory=list)
    """Cleaners in order: text repairs apply to every split and at predict time, row filters to the training split."""
    augment: list[Augmenter] = Field(default_factory=list)
    """Augmenters of the training split; each makes its own copies."""
    workers: int = Field(default=0, ge=0, le=64)
    """Processes that make variants where no augmenter has a model (0 or 1: none beside the run's own); the result is the
    same, whatever their number."""


class TaskObjective(Objective):
    """The task's own objective with its default settings; write that objective's type to change them."""

    type: Literal["task"]

    needs_task: ClassVar[bool] = True

    def count(self, batch: Mapping[str, Any]) -> int:
        """Never reached: loading a recipe puts the task's objective in place of this one."""
        raise AssertionError

    def loss(self, net: Any, batch: Mapping[str, Any]) -> Loss:
        """Never reached: loading a recipe puts the task's objective in place of this one."""
        raise AssertionError


class Plateau(Settings):
    """Lowers the learning rate when the figure that decides stands still, on top of the schedule."""

    patience: int = Field(default=1, ge=1)
    """Validations (one per epoch) without a better figure before the rate falls."""
    factor: float = Field(default=0.5, gt=0, lt=1)
    """What the rate is multiplied by, each time."""


class Stage(Settings):
    """One step of training."""

    stage: Literal["pretrain", "finetune"]
    """`pretrain`: language modelling on text, the best epoch by held-out loss. `finetune`: the task, the best by its metric."""
    name: str | None = Field(default=None, pattern=NAME)
    """A name for logs and reports; default: its kind and number."""
    when: Literal["helps"] | None = None
    """`helps`: keep this stage only if evidence says that it helps."""
    objectives: list[Objective] = Field(min_length=1)
    """What is minimised, each on its own stream of data; the first one sets the length of an epoch."""
    epochs: float | None = Field(default=None, gt=0, le=10_000)
    """Passes over the first objective's data. Default: 5 for pretrain; for finetune 10, and on few rows as many as make 300
    steps, 30 at most."""
    batch_size: int = Field(default=32, ge=1)
    """Rows per optimizer step, over all micro-batches and processes."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Rows per forward pass; fewer save memory and give the same update. Default: the batch size, on a CPU in passes of at most
    2,048 tokens."""
    optimizer: Optimizer
    """Default: adamw, with lr 5e-5 (finetune) or 1e-4 (pretrain)."""
    schedule: Schedule
    """Default: linear with 10 % warm-up."""
    techniques: list[Technique] = Field(default_factory=list)
    """Changes of parameters, loss or weights; the first one is innermost."""
    clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; null switches clipping off."""
    early_stopping: int | None = Field(default=None, ge=1)
    """Validations (one per epoch) without a better figure after which the stage ends; default: it goes to its end."""
    plateau: Plateau | None = None
    """Lower the rate while the figure that decides stands still; most useful with the schedule `constant`."""
    checkpoint_minutes: float = Field(default=5, ge=0)
    """Minutes between checkpoints that a killed run continues from; 0 writes one after every step."""
    workers: int = Field(default=0, ge=0, le=64)
    """Processes that make batches beside training (0: none); the result is the same, whatever their number."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_kind(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        pretrain = value.get("stage") == "pretrain"
        defaults: dict[str, Any] = {
            "optimizer": {"type": "adamw", "lr": 1e-4 if pretrain else 5e-5},
            "schedule": {"type": "linear", "warmup": 0.1},
        }
        return defaults | dict(value)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Optimizer and schedule have defaults that depend on the kind of stage."""
        described = handler.resolve_ref_schema(super().__get_pydantic_json_schema__(schema, handler))
        described["required"] = [name for name in described["required"] if name not in ("optimizer", "schedule")]
        return described


class Evaluate(Settings):
    """How the result is measured."""

    metrics: list[Metric] = Field(default_factory=list)
    """Default: the task's usual metrics."""
    best: str | None = None
    """The metric that chooses the best checkpoint and the seed that ships; default: the first one. With several tasks
    `TASK.METRIC`, such as `nli.accuracy`."""
    seeds: int = Field(default=1, ge=1, le=100)
    """How many times the finetune stages run, each with another seed; the best on validation ships."""
    plain: bool = True
    """Whether plain fine-tuning stands among the baselines: the recipe's task alone, with its settings and seeds, without
    pretrain stages, further objectives, techniques and augmenters. It costs as much as training that."""
    slices: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    """Columns by whose values the report divides the rows it measures, such as `[source, country]`; it always divides them by
    length and, where py3langid is installed, by language. The source of these rows needs
    them. Nothing is trained anew for another column."""


class Reporting(Settings):
    """What a run writes for people."""

    texts: bool = True
    """Whether texts of the data may stand in what a run leaves: errors and examples in the report, rows in the quarantine, the
    bundle's golden rows. With `false` only figures, labels and names do, and golden rows are made of the vocabulary."""
    license: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.+\-]*$")
    """The licence of the finished model for its card, by the hub's name for it, such as `apache-2.0` or `cc-by-4.0`. Default:
    `unknown`; hft can't know what the base model's and the data's licences allow."""


class Recipe(Settings):
    """A whole run: from raw files to a verified bundle."""

    name: str = Field(pattern=r"^[\w][\w.\-]{0,80}$")
    """Name of the run and its folder."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Where all random numbers start."""
    data: Data
    """The data sources."""
    task: Task | None = None
    """What the rows mean; may be left out when every stage is `pretrain`."""
    tasks: dict[Annotated[str, Field(pattern=NAME)], Task] = Field(default_factory=dict)
    """Several tasks by name, on one backbone; `task` is short for one that is called `main`."""
    model: Model
    """The backbone."""
    prepare: Prepare = Field(default_factory=Prepare)
    """Cleaning and augmentation."""
    stages: list[Stage] = Field(min_length=1)
    """Training, in order; each stage starts from the best of the one before."""
    evaluate: Evaluate = Field(default_factory=Evaluate)
    """Metrics and seeds."""
    report: Reporting = Field(default_factory=Reporting)
    """What the run's report, quarantine and bundle may show."""
    export: list[Exporter] = Field(default_factory=list)
    """What is made of the finished model."""
    trackers: list[Annotated[Tracker, OneTracker()]] = Field(default_factory=list)
    """Programs that collect the curves of runs, by name or with settings; they change nothing of the result. See
    [logs](logs.md)."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of training; auto takes bf16 where the hardware multiplies it faster. Weights and evaluation are fp32."""

    strategy: Literal["ddp", "fsdp"] = "ddp"
    """How the processes of a distributed run share the weights. `ddp`: each has them whole. `fsdp`: each keeps a share of
    weights, gradients and optimizer state, for models that do not fit into one device; slower where they do. With one
    process it has no effect."""

    search: Search | None = None
    """Fields to be searched by `hft search`, see [search](search.md); it changes nothing of a run."""

    plugins: list[Path] = Field(default_factory=list)
    """Files with components, as `--plugin` loads them. They are executed as soon as the recipe is checked: run no recipe with
    files that you do not trust."""
    requires: list[str] = Field(default_factory=list)
    """Distributions that have to be installed, such as `hft-mine>=0.2,<1`; told by metadata, before anything is imported."""
    disable: list[str] = Field(default_factory=list)
    """Plugins or distributions that are not imported for this recipe."""

    @model_validator(mode="after")
    def _one_way_to_name_tasks(self) -> Self:
        if self.task is not None and self.tasks:
            raise ValueError("`task` and `tasks` are both there; put all tasks under `tasks`, each with its name")
        return self

    @property
    def all_tasks(self) -> dict[str, Task]:
        """The tasks by name, however they were given."""
        return {MAIN: self.task} if self.task is not None else dict(self.tasks)
