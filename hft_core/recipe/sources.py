"""Which rows an entry of a recipe means: a task's split, or a source of unlabelled text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from hft_core.components import Objective, Reader, Task
from hft_core.errors import DamagedError
from hft_core.recipe.model import MAIN, SPLITS, Recipe, Split


@dataclass(frozen=True)
class Source:
    """A task's split, or unlabelled text."""

    task: str | None
    """The task whose split it is; None: unlabelled text."""
    name: str
    """The split, or the source's name under `data`."""
    title: str
    """What people call it: `train`, `nli.train`, `corpus`."""


def readers_of(recipe: Recipe, task: str) -> dict[str, Reader]:
    """The readers of a task's splits, as far as the recipe names them."""
    if task in recipe.data.tasks:
        group = recipe.data.tasks[task]
        given = {"train": group.train, "validation": group.validation, "test": group.test}
        return {name: reader for name, reader in given.items() if reader is not None}
    if list(recipe.all_tasks) != [task]:  # only a single task's data may stand directly under `data`
        return {}
    return {name: recipe.data.sources[name] for name in SPLITS if name in recipe.data.sources}


def split_of(recipe: Recipe, task: str) -> Split | None:
    """How a task's training source is split."""
    return recipe.data.tasks[task].split if task in recipe.data.tasks else recipe.data.split


def title_of(recipe: Recipe, task: str, name: str) -> str:
    """What people call something of a task: by its own name where there is one task only."""
    return name if len(recipe.all_tasks) == 1 else f"{task}.{name}"


def source_names(objective: Objective) -> list[str]:
    """The data sources of an objective, as the recipe names them."""
    return [objective.data] if isinstance(objective.data, str) else list(objective.data)


def resolve(recipe: Recipe, objective: Objective, name: str) -> Source | None:
    """What `name` means in an objective's `data`; None where there is no such source.

    A split's name means that of the objective's task, or of the only task; `TASK.SPLIT` names any.
    """
    tasks = list(recipe.all_tasks)
    own = objective.task or (tasks[0] if len(tasks) == 1 else None)
    task, dot, split = name.partition(".")
    if not dot:
        task, split = own or "", name
    if split in SPLITS and task in tasks and split in readers_of(recipe, task):
        return Source(task, split, title_of(recipe, task, split))
    own_splits = SPLITS if len(tasks) == 1 else ()
    return Source(None, name, name) if name in recipe.data.sources and name not in own_splits else None


def sources_of(recipe: Recipe, objective: Objective) -> list[Source]:
    """The sources of an objective of a checked recipe."""
    found = [resolve(recipe, objective, name) for name in source_names(objective)]
    return [source for source in found if source is not None]


def text_sources(recipe: Recipe) -> list[str]:
    """Names of the sources of unlabelled text that stages read, each once."""
    wanted = [
        source.name
        for stage in recipe.stages
        for objective in stage.objectives
        for source in sources_of(recipe, objective)
        if source.task is None
    ]
    return list(dict.fromkeys(wanted))


def head_name(objective: Objective) -> str:
    """The head that an objective trains: its task's, or its own under its name."""
    return objective.trained_task or objective.title


def trained_tasks(recipe: Recipe, stages: Sequence[int]) -> dict[str, Task]:
    """The tasks whose heads these stages train, in the recipe's order."""
    served = {objective.trained_task for index in stages for objective in recipe.stages[index].objectives}
    return {name: task for name, task in recipe.all_tasks.items() if name in served}


def earlier_tasks(recipe: Recipe) -> list[str]:
    """Names of the tasks of the earlier run that the model starts from; none where it starts from anything else."""
    folder = recipe.model.earlier_run()
    if folder is None:
        return []
    try:
        earlier = json.loads((folder / "run.json").read_text("utf-8"))["recipe"]
        return [MAIN] if earlier.get("task") else list(earlier.get("tasks") or ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{folder / 'run.json'} is damaged ({error}); run its recipe again") from error


def brought_tasks(recipe: Recipe) -> dict[str, Task]:
    """The recipe's tasks that the earlier run has too, by name.

    Their heads come with it and are kept, whichever stages train them: what was learned first is measured at the end.
    """
    earlier = earlier_tasks(recipe)
    return {name: task for name, task in recipe.all_tasks.items() if name in earlier}
