"""Checks that concern several entries of a recipe at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from hft_core.components import Objective
from hft_core.errors import DataError, RecipeError
from hft_core.recipe.metrics import deciding_metrics, task_metrics
from hft_core.recipe.model import SPLITS, Recipe, Split, Stage
from hft_core.recipe.sources import readers_of, resolve, source_names, trained_tasks
from hft_core.recipe.walk import entries, input_paths
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
        *_micro_batches(recipe),
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


def _techniques(recipe: Recipe) -> Iterator[Problem]:
    for index, stage in enumerate(recipe.stages):
        known = ["task", *(objective.title for objective in stage.objectives)]
        for position, technique in enumerate(stage.techniques):
            if technique.changes_modules and position:
                first = stage.techniques[0].type_name()
                yield (
                    ("stages", index, "techniques", position),
                    f"{technique.type_name()} changes the modules of the net, so it has to stand before {first}; put it first",
                )
            for other in stage.techniques[:position]:
                if other.type_name() in technique.excludes or technique.type_name() in other.excludes:
                    pair = f"{other.type_name()} and {technique.type_name()}"
                    yield ("stages", index, "techniques", position), f"{pair} cannot be combined; remove one of them"
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
    tasks = recipe.all_tasks
    for index, stage in enumerate(recipe.stages):
        trains_task = any(objective.task or objective.needs_task for objective in stage.objectives)
        if stage.stage == "finetune" and not tasks:
            yield ("stages", index), "a finetune stage needs a `task`"
        elif stage.stage == "finetune" and not trains_task:
            yield (
                ("stages", index),
                "a finetune stage needs an objective that trains the task, such as {type: task, data: train}",
            )
        elif stage.stage == "pretrain" and trains_task:
            yield ("stages", index), "a pretrain stage has language-modelling objectives only; make it a finetune stage"
        if all(objective.silent() for objective in stage.objectives):
            yield ("stages", index, "objectives"), "every objective has the weight 0, so there is nothing to learn"
        for position, objective in enumerate(stage.objectives):
            yield from _task_of(objective, recipe, ("stages", index, "objectives", position))
    trained = trained_tasks(recipe, range(len(recipe.stages)))
    unclear = [objective for stage in recipe.stages for objective in stage.objectives if _unclear(objective, recipe)]
    for name in tasks:
        place: Location = ("data",) if len(tasks) == 1 else ("data", name)
        if "train" not in readers_of(recipe, name):
            found = ", ".join(recipe.data.tasks or recipe.data.sources) or "none"
            if len(tasks) == 1:
                yield place, f"the task needs a source `train`; there are {found}"
            else:
                yield (
                    place,
                    f"the task {name!r} needs its data under its name, `{name}: {{train: …}}`; there are {found}",
                )
        elif name not in trained and not unclear and any(stage.stage == "finetune" for stage in recipe.stages):
            yield ("stages",), f"no stage trains the task {name!r}; add {{type: task, task: {name}, data: train}}"
    for name in recipe.data.tasks:
        if name not in tasks:
            known = ", ".join(tasks) or "none"
            yield ("data", name), f"there is no task {name!r}{_nearest(name, list(tasks))} Tasks: {known}"
    if recipe.export and not any(stage.stage == "finetune" for stage in recipe.stages):
        yield ("export",), "an export needs a finetune stage, whose task the exported model answers"


def _unclear(objective: Objective, recipe: Recipe) -> bool:
    """Whether it should train a task, but does not say which: one complaint about that is enough."""
    return objective.task not in recipe.all_tasks if objective.task else objective.needs_task


def _task_of(objective: Objective, recipe: Recipe, place: Location) -> Iterator[Problem]:
    tasks = recipe.all_tasks
    known = ", ".join(tasks)
    if objective.task is not None and objective.task not in tasks:
        hint = f"{_nearest(objective.task, list(tasks))} Tasks: {known}" if tasks else "; the recipe has no task"
        yield (*place, "task"), f"there is no task {objective.task!r}{hint}"
    elif objective.task is None and objective.needs_task:
        which = f"say which one with `task:`, out of {known}" if tasks else "the recipe has no `task`"
        yield place, f"{{type: {objective.type_name()}}} trains a task; {which}"
    elif objective.task is not None and not objective.needs <= tasks[objective.task].gives:
        task = tasks[objective.task]
        yield (
            place,
            f"{objective.type_name()} trains tasks that give {', '.join(sorted(objective.needs))}, but {objective.task!r} "
            f"({task.type_name()}) gives {', '.join(sorted(task.gives))}; its objective is {task.objective}",
        )
    elif objective.task is not None and not objective.needs_task:
        usual = tasks[objective.task].objective
        if usual != objective.type_name():
            yield (
                (*place, "task"),
                f"{objective.type_name()} does not train the task {objective.task!r}, whose objective is {usual}; leave "
                "`task` out",
            )


def _sources(recipe: Recipe) -> Iterator[Problem]:
    tasks = recipe.all_tasks
    known = [*recipe.data.sources, *(f"{task}.{split}" for task in recipe.data.tasks for split in SPLITS[:1])]
    read: set[str] = set()
    for index, stage in enumerate(recipe.stages):
        for position, objective in enumerate(stage.objectives):
            place = ("stages", index, "objectives", position, "data")
            names = source_names(objective)
            for name in names if not _unclear(objective, recipe) else ():
                source = resolve(recipe, objective, name)
                if source is None:
                    read.add(name)  # as far as it goes: a source whose name is misspelt finds its reader
                    yield place, f"there is no data source {name!r}{_nearest(name, known)} Sources: {', '.join(known)}"
                elif source.task is not None and source.name != "train":
                    yield place, f"training on {name!r} would make its figures worthless; it is for evaluation only"
                elif source.task is None:
                    read.add(source.name)
            if not names:
                yield place, "an objective needs at least one data source"
            elif objective.task in tasks and names not in (["train"], [f"{objective.task}.train"]):
                yield place, "an objective of the task reads `train`, the only source whose rows have its labels"
    read |= set(SPLITS) if len(tasks) == 1 and not recipe.data.tasks else set()
    for name in recipe.data.sources:
        if name not in read:
            hint = _nearest(name, [other for other in read if other not in recipe.data.sources])
            yield (
                ("data", name),
                f"nothing reads the source {name!r}{hint} Read are {', '.join(sorted(read)) or 'none'}",
            )
    splits: list[tuple[Location, Split | None, Collection[str]]] = [(("data",), recipe.data.split, recipe.data.sources)]
    splits += [(("data", name), group.split, group.model_fields_set) for name, group in recipe.data.tasks.items()]
    for where, split, given in splits:
        asked = (split.model_fields_set or {"validation"}) if split else set()
        for name in sorted(asked & set(given)):
            yield (*where, "split"), f"there is a `{name}` source already; remove one of the two"
    if recipe.data.split is not None and (not tasks or recipe.data.tasks):
        yield ("data", "split"), "only a task's rows are split; remove it, or put it into the task's own data"


def _micro_batches(recipe: Recipe) -> Iterator[Problem]:
    """A loss that couples rows is no sum of micro-batches, unless it goes through vectors."""
    for index, stage in enumerate(recipe.stages):
        if stage.micro_batch is None or stage.micro_batch >= stage.batch_size:
            continue
        for objective in stage.objectives:
            if not objective.splits_over_micro_batches():
                yield (
                    ("stages", index, "micro_batch"),
                    f"the objective {objective.type_name()!r} couples the rows of a batch and has no `vectors`, so a "
                    f"batch of {stage.batch_size} cannot be computed in pieces of {stage.micro_batch}; remove "
                    "`micro_batch`, or lower `batch_size`",
                )
            for technique in stage.techniques if objective.couples else ():
                if technique.changes_loss() and technique.applies(objective):
                    yield (
                        ("stages", index, "micro_batch"),
                        f"the technique {technique.type_name()!r} changes the loss of {objective.type_name()!r}, which "
                        "couples rows: the two cannot be computed in pieces; remove `micro_batch` or the technique",
                    )


def stage_name(stage: Stage, index: int) -> str:
    """The stage's name, by default its kind and number."""
    return stage.name or f"{stage.stage}-{index}"


def _names(recipe: Recipe) -> Iterator[Problem]:
    """Names of what is told apart by name: steps of the plan, heads of the net, folders of a run, figures of a report."""
    titles = [*recipe.data.sources, *(f"{task}.{split}" for task in recipe.data.tasks for split in SPLITS)]
    yield from _twice(("data",), titles, ())
    yield from _twice(("stages",), [stage_name(stage, index) for index, stage in enumerate(recipe.stages)], ())
    for index, stage in enumerate(recipe.stages):
        names = [objective.title for objective in stage.objectives]
        yield from _twice(("stages", index, "objectives"), names, ())
        heads = [objective.title for objective in stage.objectives if not objective.task]
        yield from _twice(("stages", index, "objectives"), list(dict.fromkeys(heads)), list(recipe.all_tasks))
    exports = [exporter.title for exporter in recipe.export]
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
            yield place, f"the name {name!r} is taken (by a task, or by the engine); choose another"


def _metrics(recipe: Recipe) -> Iterator[Problem]:
    available: list[frozenset[str]] = [task.gives for task in recipe.all_tasks.values()]
    available += [objective.gives for stage in recipe.stages for objective in stage.objectives if objective.gives]
    for index, metric in enumerate(recipe.evaluate.metrics):
        if not any(metric.needs <= given for given in available):
            yield (
                ("evaluate", "metrics", index),
                f"nothing in this recipe gives what {metric.type_name()!r} needs ({', '.join(sorted(metric.needs))})",
            )
    several = len(recipe.all_tasks) > 1
    names = [best.title for best in deciding_metrics(recipe, recipe.evaluate.metrics)]
    for name, task in recipe.all_tasks.items():
        usual = ", ".join(str(settings["type"]) for settings in task.default_metrics)
        if not recipe.evaluate.metrics:
            own = [str(settings["type"]) for settings in task.default_metrics]
            names += [f"{name}.{title}" for title in own] if several else own
        elif not task_metrics(task, recipe.evaluate.metrics):
            whose = f"the task {name!r}'s" if several else "the task's"
            yield ("evaluate", "metrics"), f"none of the metrics measures {whose} predictions; add one, such as {usual}"
            return
    best = recipe.evaluate.best
    # With one task both forms serve: METRIC, and TASK.METRIC.
    also = [] if several else [f"{task}.{name}" for task in recipe.all_tasks for name in names]
    if best and recipe.all_tasks and best not in (*names, *also):
        whose = (
            "the task's metrics" if recipe.evaluate.metrics else "the task's usual metrics, and `metrics` names none"
        )
        yield ("evaluate", "best"), f"{best!r} is not among {whose}{_nearest(best, names)} There are {', '.join(names)}"
