"""What a recipe says of trackers: programs that collect the curves of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, field_validator
from pydantic_core import CoreSchema, core_schema

from hft_core.components import Settings, resolve_path


class Tracker(Settings):
    """Base of the settings of a tracker. `type` is its name among accelerate's trackers, and among hft's extras."""

    modules: ClassVar[tuple[str, ...]]
    """Modules of which one has to be installed."""
    type: str

    def missing(self) -> bool:
        """Whether its package is not installed; imports nothing."""
        return not any(find_spec(module) for module in self.modules)


class TensorBoard(Tracker):
    """Event files for TensorBoard: `tensorboard --logdir runs`."""

    modules: ClassVar = ("tensorboard", "tensorboardX")
    type: Literal["tensorboard"]
    folder: str | None = None
    """Where the files go, each run's in a folder of its own; default: `tensorboard` beside the run folder."""

    @field_validator("folder", mode="after")
    @classmethod
    def _starts_beside_the_recipe(cls, value: str | None, info: ValidationInfo) -> str | None:
        """No `Path` field: those are files that are read."""
        return value and str(resolve_path(value, (info.context or {}).get("folder")))


class MLflow(Tracker):
    """A run of an MLflow experiment."""

    modules: ClassVar = ("mlflow",)
    type: Literal["mlflow"]
    uri: str | None = None
    """The tracking server or store, such as `http://host:5000`; default: MLFLOW_TRACKING_URI, else what MLflow itself takes."""
    experiment: str | None = Field(default=None, pattern=r"^[^'\"]+$")
    """Default: the recipe's name."""


class WandB(Tracker):
    """A run of Weights & Biases; log in once with `wandb login`."""

    modules: ClassVar = ("wandb",)
    type: Literal["wandb"]
    project: str | None = None
    """Default: the recipe's name."""
    entity: str | None = None
    """The team; default: your own."""
    offline: bool = False
    """Keep everything in files, below `wandb` beside the run folder; `wandb sync` sends them later."""


class Trackio(Tracker):
    """A run of Trackio, kept on this machine: `trackio show`."""

    modules: ClassVar = ("trackio",)
    type: Literal["trackio"]
    project: str | None = None
    """Default: the recipe's name."""
    space: str | None = None
    """A Hugging Face Space that shows the run, as `user/name`."""


TRACKERS: dict[str, type[Tracker]] = {
    get_args(cls.model_fields["type"].annotation)[0]: cls for cls in (TensorBoard, MLflow, WandB, Trackio)
}


def _by_name(value: Any) -> Any:
    """A tracker's name alone stands for one without settings."""
    value = {"type": value} if isinstance(value, str) else value
    if isinstance(value, Mapping) and str(value.get("type")) not in TRACKERS:
        if "type" not in value:
            raise ValueError(f"'type' is missing; a tracker is one of {', '.join(TRACKERS)}")
        near = get_close_matches(str(value["type"]), TRACKERS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"there is no tracker {value['type']!r}{hint} There are {', '.join(TRACKERS)}")
    return value


class OneTracker:
    """Annotation: exactly one of the trackers, by `type`, or its name alone."""

    choices = TRACKERS

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices: dict[Any, CoreSchema] = {name: handler.generate_schema(cls) for name, cls in self.choices.items()}
        union = core_schema.tagged_union_schema(choices, discriminator="type")
        return core_schema.no_info_before_validator_function(_by_name, union)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.choices)}, handler(schema)]}


def lacking(trackers: Sequence[Tracker]) -> Iterator[tuple[int, str]]:
    """Which trackers are not installed: their positions, and what to do."""
    for index, tracker in enumerate(trackers):
        if tracker.missing():
            yield index, f'tracker {tracker.type} is not installed; run: pip install "hft-core[{tracker.type}]"'
