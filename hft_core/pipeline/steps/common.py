"""What all steps share: their process, and the forms in which one leaves things for the next."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from hft_core.components import Columns, Facts, HeadSpec, Preprocessor, Roles, Task
from hft_core.data.prepared import Prepared, bound_task
from hft_core.data.table import read_all
from hft_core.recipe.model import Recipe
from hft_core.training.stopping import StopRequest

Folders = Mapping[str, Path]


@dataclass(frozen=True)
class TaskPlace:
    """Where a task's prepared rows lie among a step's inputs."""

    name: str
    """The task's name in the recipe, and its head's in the net."""
    nodes: Mapping[str, str]
    """The node of each split."""


@dataclass(frozen=True)
class TaskRows:
    """A task at work: bound to its columns, with what it learned from the training rows, and its prepared splits."""

    name: str
    task: Task
    train: Prepared
    folders: Mapping[str, Path]
    """The folder with each split that the step may read."""

    @classmethod
    def open(cls, recipe: Recipe, place: TaskPlace, inputs: Folders) -> TaskRows:
        """Find a task's rows in a step's inputs."""
        train = Prepared.load(inputs[place.nodes["train"]])
        folders = {split: inputs[node] for split, node in place.nodes.items() if node in inputs}
        return cls(place.name, bound_task(recipe.all_tasks[place.name], train), train, folders)

    @property
    def facts(self) -> Facts:
        """What the task learned from the training rows."""
        return self.train.facts

    @property
    def roles(self) -> Roles:
        """Which columns play which part."""
        return self.train.roles

    def rows(self, split: str) -> Columns:
        """The cleaned rows of a split; no column where there is no such split."""
        return read_all(self.folders[split] / f"{split}.arrow") if split in self.folders else {}

    def digest(self, split: str) -> str:
        """Which rows a split has, see `Prepared.digest`."""
        return Prepared.load(self.folders[split]).digest(split)

    def raw(self, split: str) -> Columns:
        """The rows of a held-out split as they were read."""
        return Prepared.load(self.folders[split]).raw(split)


@dataclass
class Process:
    """What a step gets from the process that runs it, apart from its inputs."""

    say: Callable[[str], None] = lambda text: None
    advance: Callable[[int, int, dict[str, float]], None] = lambda step, steps, figures: None
    tell: Callable[[str, Mapping[str, Any]], None] = lambda event, fields: None
    """Called with what happens within the step: an event of `Progress.tell` and its fields."""
    stop: StopRequest = field(default_factory=StopRequest)
    work: Path = Path()
    """Where checkpoints of the current node go."""
    writes: bool = True
    """Whether this process makes the output; the others of a distributed run only train along, and write nothing."""


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, Chinese as Chinese."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load_preprocessor(folder: Path) -> Preprocessor:
    """Restore the preprocessor that a node saved."""
    note = read_json(folder / "preprocessor.json")
    preprocessor: Preprocessor = import_module(note["module"]).load(folder, note["settings"])
    return preprocessor


def build_net(
    recipe: Recipe, folder: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec], seed: int = 0
) -> Any:
    """Build a net with the weights of `folder`, in evaluation mode, on the GPU where there is one."""
    import torch

    torch.manual_seed(seed)
    net = recipe.model.build(folder, preprocessor, heads).eval()
    return net.to("cuda") if torch.cuda.is_available() else net
