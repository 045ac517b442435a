"""Checks that concern several entries of a recipe at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from hft_core.components import Objective
from hft_core.errors import DataError, RecipeError
from hft_core.recipe.metrics import task_metrics
from hft_core.recipe.model import SPLITS, Recipe, Stage, TaskObjective
from hft_core.recipe.yaml import Location, place_of

if TYPE_CHECKING:
    from hft_core.recipe.load import LoadedRecipe


def check(loaded: LoadedRecipe) -> None:
    """Raise RecipeError naming every inconsistency, or DataError for input files that do not exist."""
    recipe = loaded.recipe
    problems = [
        *_gates(recipe, ()),
        *_tasks(recipe),
        *_sources(recipe),
        *_names(recipe),
        *_metrics(recipe),
        *_techniques(recipe),
    ]
    if problems:
        raise RecipeError("\n".join(f"{_where(loaded, location)}: {text}" for location, text in problems))
    missing = [(location, path) for location, path in input_paths(recipe, ()) if not path.exists()]
    if missing:
        raise DataError(
            "\n".join(f"{_where(loaded, location)}: there is no file {path}{_near(path)}" for location, path in missing)
        )


Problem = tuple[Location, str]


def _where(loaded: LoadedRecipe, location: Location) -> str:
    return f"{loaded.where}, {place_of(location, loaded.lines)}"


def _nearest(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (its folder {path.parent} does not exist either)"
    near = get_close_matches(path.name, [item.name for item in path.parent.iterdir()], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def entries(settings: BaseModel, location: Location) -> Iterator[tuple[Location, Any]]:
    """Walk through the recipe: every setting with its location as written."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        # Sources stand directly under `data`.
        here = location if name == "sources" and location == ("data",) else (*location, field.alias or name)
        yield from _values(value, here)


def _values(value: Any, location: Location) -> Iterator[tuple[Location, Any]]:
    yield location, value
    if isinstance(value, BaseModel):
        yield from entries(value, location)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _values(item, (*location, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _values(item, (*location, index))


def input_paths(recipe: Recipe, location: Location) -> Iterator[tuple[Location, Path]]:
    """Every file or folder that a setting names; the model's source is checked when it is located."""
    for place, value in entries(recipe, location):
        if isinstance(value, Path) and place != ("model", "source"):
            yield place, value


def _techniques(recipe: Recipe) -> Iterator[Problem]:
    for index, stage in enumerate(recipe.stages):
        known = ["task", *(objective.name or objective.type_name() for objective in stage.objectives)]
        for position, technique in enumerate(stage.techniques):
            for name in technique.on or ():
                if name not in known:
                    place = ("stages", index, "techniques", position, "on")
                    yield (
                        place,
                        f"the stage has no objective {name!r}{_nearest(name, known)} It has: {', '.join(known)}",
                    )


def _gates(recipe: Recipe, location: Location) -> Iterator[Problem]:
    for place, value in entries(recipe, location):
        if place and place[-1] == "when" and value is not None:
            yield place, "`when: helps` needs the evidence gate, which this version of hft does not have; remove it"


def _tasks(recipe: Recipe) -> Iterator[Problem]:
    for index, stage in enumerate(recipe.stages):
        trains_task = any(objective.needs_task for objective in stage.objectives)
        if stage.stage == "finetune" and recipe.task is None:
            yield ("stages", index), "a finetune stage needs a `task`"
        elif stage.stage == "finetune" and not trains_task:
            yield (
                ("stages", index),
                "a finetune stage needs an objective that trains the task, such as {type: task, data: train}",
            )
        elif stage.stage == "pretrain" and trains_task:
            yield ("stages", index), "a pretrain stage has language-modelling objectives only; make it a finetune stage"
    if recipe.task is not None and "train" not in recipe.data.sources:
        yield ("data",), f"the task needs a source `train`; there are {', '.join(recipe.data.sources) or 'none'}"
    if recipe.export and not any(stage.stage == "finetune" for stage in recipe.stages):
        yield ("export",), "an export needs a finetune stage, whose task the exported model answers"


def _sources(recipe: Recipe) -> Iterator[Problem]:
    known = list(recipe.data.sources)
    for index, stage in enumerate(recipe.stages):
        for position, objective in enumerate(stage.objectives):
            place = ("stages", index, "objectives", position, "data")
            names = source_names(objective)
            for name in names:
                if name not in known:
                    yield place, f"there is no data source {name!r}{_nearest(name, known)} Sources: {', '.join(known)}"
                elif name in ("validation", "test"):
                    yield place, f"training on {name!r} would make its figures worthless; it is for evaluation only"
            if not names:
                yield place, "an objective needs at least one data source"
            if objective.needs_task and names != ["train"]:
                yield place, "an objective of the task reads `train`, the only source whose rows have its labels"
            if objective.task not in (None, "main"):
                yield (
                    (*place[:-1], "task"),
                    f"there is no task {objective.task!r}; a recipe with one `task` calls it main",
                )
            if isinstance(objective, TaskObjective) and recipe.task is None:
                yield place[:-1], "{type: task} needs a `task`"
    read = {*SPLITS} if recipe.task else set()
    read |= {name for stage in recipe.stages for objective in stage.objectives for name in source_names(objective)}
    for name in known:
        if name not in read:
            hint = _nearest(name, [other for other in (*SPLITS, *read) if other not in known])
            yield ("data", name), f"nothing reads the source {name!r}{hint} Read are {', '.join(sorted(read))}"
    split = recipe.data.split
    asked = (split.model_fields_set or {"validation"}) if split else set()
    for name in sorted(asked & set(known)):
        yield ("data", "split"), f"there is a `{name}` source already; remove one of the two"
    if split is not None and recipe.task is None:
        yield ("data", "split"), "only a task's rows are split; remove it"


def stage_name(stage: Stage, index: int) -> str:
    """The stage's name, by default its kind and number."""
    return stage.name or f"{stage.stage}-{index}"


def source_names(objective: Objective) -> list[str]:
    """The data sources of an objective."""
    return [objective.data] if isinstance(objective.data, str) else list(objective.data)


def _names(recipe: Recipe) -> Iterator[Problem]:
    """Names of what is told apart by name: steps of the plan, heads of the net, folders of a run, figures of a report."""
    yield from _twice(("stages",), [stage_name(stage, index) for index, stage in enumerate(recipe.stages)], ())
    for index, stage in enumerate(recipe.stages):
        names = [objective.name or objective.type_name() for objective in stage.objectives]
        yield from _twice(("stages", index, "objectives"), names, ("main",))
    exports = [exporter.name or exporter.type_name() for exporter in recipe.export]
    yield from _twice(("export",), exports, ("bundle", "model"))
    for name, count in Counter(metric.title for metric in recipe.evaluate.metrics).items():
        if count > 1:
            yield (
                ("evaluate", "metrics"),
                f"{count} metrics are called {name!r}, and so would be their figures; give one of them another `name`",
            )


def _twice(place: Location, names: Sequence[str], taken: Sequence[str]) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            yield place, f"{count} entries are called {name!r}; give them different names (`name: …`)"
        elif name in taken:
            yield place, f"the name {name!r} is taken by the engine; choose another"


def _metrics(recipe: Recipe) -> Iterator[Problem]:
    available: list[frozenset[str]] = [recipe.task.gives] if recipe.task else []
    available += [objective.gives for stage in recipe.stages for objective in stage.objectives if objective.gives]
    for index, metric in enumerate(recipe.evaluate.metrics):
        if not any(metric.needs <= given for given in available):
            yield (
                ("evaluate", "metrics", index),
                f"nothing in this recipe gives what {metric.type_name()!r} needs ({', '.join(sorted(metric.needs))})",
            )
    if recipe.task is None:
        return
    names = [metric.title for metric in task_metrics(recipe, recipe.evaluate.metrics)]
    if recipe.evaluate.metrics and not names:
        usual = ", ".join(str(settings["type"]) for settings in recipe.task.default_metrics)
        yield ("evaluate", "metrics"), f"none of the metrics measures the task's predictions; add one, such as {usual}"
        return
    names = names or [str(settings["type"]) for settings in recipe.task.default_metrics]
    best = recipe.evaluate.best
    if best and best.removeprefix("main.") not in names:
        whose = (
            "the task's metrics" if recipe.evaluate.metrics else "the task's usual metrics, and `metrics` names none"
        )
        yield ("evaluate", "best"), f"{best!r} is not among {whose}{_nearest(best, names)} There are {', '.join(names)}"
