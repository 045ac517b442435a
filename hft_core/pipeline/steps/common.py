"""What all steps share: their process, and the forms in which one leaves things for the next."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from hft_core.components import HeadSpec, Preprocessor, Task
from hft_core.data.prepare import Prepared
from hft_core.recipe.model import Recipe
from hft_core.training.stopping import StopRequest

Folders = Mapping[str, Path]
MAIN = "main"
"""The name of a recipe's only task, and of its head."""


@dataclass
class Process:
    """What a step gets from the process that runs it, apart from its inputs."""

    say: Callable[[str], None] = lambda text: None
    advance: Callable[[int, int, dict[str, float]], None] = lambda step, steps, figures: None
    stop: StopRequest = field(default_factory=StopRequest)
    work: Path = Path()
    """Where checkpoints of the current node go."""


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


def bound_task(task: Task, prepared: Prepared) -> Task:
    """The recipe's task with the columns that preparation settled."""
    return task.model_copy(
        update={key: value for key, value in prepared.bound.items() if key in type(task).model_fields}
    )


def build_net(
    recipe: Recipe, folder: Path | None, preprocessor: Preprocessor, heads: Mapping[str, HeadSpec], seed: int = 0
) -> Any:
    """Build a net with the weights of `folder`, in evaluation mode, on the GPU where there is one."""
    import torch

    torch.manual_seed(seed)
    net = recipe.model.build(folder, preprocessor, heads).eval()
    return net.to("cuda") if torch.cuda.is_available() else net
