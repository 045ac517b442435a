"""Checks that concern several entries of a recipe at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from hft_core.components import Model, Objective
from hft_core.errors import DataError, PluginError, RecipeError
from hft_core.recipe.check_data import augmenters, same_rows, sources, unclear
from hft_core.recipe.check_exports import exports
from hft_core.recipe.check_stages import Problem, heads, micro_batches, nearest, shared, techniques
from hft_core.recipe.metrics import deciding_metrics, measures, task_metrics
from hft_core.recipe.model import SPLITS, Recipe, Stage
from hft_core.recipe.parts import Load, check_gates, gated
from hft_core.recipe.sources import (
    brought_tasks,
    earlier_tasks,
    readers_of,
    trained_tasks,
)
from hft_core.recipe.trackers import lacking
from hft_core.recipe.walk import entries, input_paths
from hft_core.recipe.yaml import Location, place_of

if TYPE_CHECKING:
    from hft_core.recipe.load import LoadedRecipe


def check(loaded: LoadedRecipe) -> None:
    """Raise RecipeError naming every inconsistency, or DataError for input files that do not exist."""
    recipe = loaded.recipe
    problems = [
        *_tasks(recipe),
        *sources(recipe),
        *augmenters(recipe),
        *_names(recipe),
        *_metrics(recipe),
        *techniques(recipe),
        *micro_batches(recipe),
        *heads(recipe),
        *exports(recipe),
        *_trackers(recipe),
    ]
    _raise(loaded, problems)
    _locate_inner_models(loaded)
    missing = [(location, path) for location, path in input_paths(recipe, ()) if not path.exists()]
    if missing:
        raise DataError(
            "\n".join(f"{_where(loaded, location)}: there is no file {path}{_near(path)}" for location, path in missing)
        )
    _raise(loaded, list(same_rows(recipe)))
    if absent := list(lacking(recipe.trackers)):
        raise PluginError("\n".join(f"{_where(loaded, ('trackers', index))}: {text}" for index, text in absent))


def check_parts(loaded: LoadedRecipe, load: Load) -> None:
    """Raise RecipeError for entries with `when: helps` that the recipe cannot do without; `load` checks what is left."""
    _raise(loaded, list(check_gates(loaded.recipe, loaded.raw, load)))


def check_processes(loaded: LoadedRecipe, count: int) -> None:
    """Raise RecipeError where the recipe's stages cannot be trained by so many processes together."""
    if count > 1:
        _raise(loaded, [*shared(loaded.recipe, count), *_gates_of_several(loaded.recipe)])


def _gates_of_several(recipe: Recipe) -> Iterator[Problem]:
    for place in gated(recipe)[:1]:
        yield (
            (*place, "when"),
            "`when: helps` is settled by one process; run the recipe in one first, copy its run's recipe.yaml, which has what it "
            "keeps, beside this one, and let several train that",
        )


def _raise(loaded: LoadedRecipe, problems: Sequence[Problem]) -> None:
    if problems:
        raise RecipeError("\n".join(f"{_where(loaded, location)}: {text}" for location, text in problems))


def _where(loaded: LoadedRecipe, location: Location) -> str:
    return f"{loaded.where}, {place_of(location, loaded.lines)}"


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (its folder {path.parent} does not exist either)"
    near = get_close_matches(path.name, [item.name for item in path.parent.iterdir()], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _locate_inner_models(loaded: LoadedRecipe) -> None:
    """Look whether the models that techniques name are there, such as a teacher; those of the hub are not fetched for it."""
    for location, value in entries(loaded.recipe, ()):
        if isinstance(value, Model) and "techniques" in location:
            if not all(isinstance(getattr(value, name), Path) for name in value.located):
                continue
            try:
                value.locate()
            except PluginError as error:
                raise PluginError(f"{_where(loaded, location)}: {error}") from error


def _tasks(recipe: Recipe) -> Iterator[Problem]:
    tasks = recipe.all_tasks
    for index, stage in enumerate(recipe.stages):
        of_tasks = [objective for objective in stage.objectives if objective.task or objective.needs_task]
        if stage.stage == "finetune" and not tasks:
            yield ("stages", index), "a finetune stage needs a `task`"
        elif stage.stage == "finetune" and all(objective.own_head for objective in of_tasks):
            yield (
                ("stages", index),
                "a finetune stage needs an objective that trains the task, such as {type: task, data: train}",
            )
        elif stage.stage == "pretrain" and of_tasks:
            yield ("stages", index), "a pretrain stage has language-modelling objectives only; make it a finetune stage"
        if all(objective.silent() for objective in stage.objectives):
            yield ("stages", index, "objectives"), "every objective has the weight 0, so there is nothing to learn"
        for position, objective in enumerate(stage.objectives):
            yield from _task_of(objective, recipe, ("stages", index, "objectives", position))
            alone = objective.own_head and objective.task in tasks and not all(other.own_head for other in of_tasks)
            if alone and objective.task not in trained_tasks(recipe, [index]):
                yield (
                    ("stages", index, "objectives", position),
                    f"{objective.type_name()} is a loss beside that of the task {objective.task!r}, which this stage does not "
                    f"train; add {{type: task, task: {objective.task}, data: train}}",
                )
    served = {*trained_tasks(recipe, range(len(recipe.stages))), *brought_tasks(recipe)}
    undecided = [objective for stage in recipe.stages for objective in stage.objectives if unclear(objective, recipe)]
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
        elif name not in served and not undecided and any(stage.stage == "finetune" for stage in recipe.stages):
            known = ", ".join(earlier_tasks(recipe))
            where = (
                f"the run that the model starts from has {known}" if known else "the model starts from no earlier run"
            )
            yield (
                ("stages",),
                f"no stage trains the task {name!r}, and {where}; add {{type: task, task: {name}, data: train}}",
            )
    for name in recipe.data.tasks:
        if name not in tasks:
            known = ", ".join(tasks) or "none"
            yield ("data", name), f"there is no task {name!r}{nearest(name, list(tasks))} Tasks: {known}"
    if recipe.export and not any(stage.stage == "finetune" for stage in recipe.stages):
        yield ("export",), "an export needs a finetune stage, whose task the exported model answers"


def _task_of(objective: Objective, recipe: Recipe, place: Location) -> Iterator[Problem]:
    tasks = recipe.all_tasks
    known = ", ".join(tasks)
    if objective.task is not None and objective.task not in tasks:
        hint = f"{nearest(objective.task, list(tasks))} Tasks: {known}" if tasks else "; the recipe has no task"
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


def _trackers(recipe: Recipe) -> Iterator[Problem]:
    for index, tracker in enumerate(recipe.trackers):
        if tracker.type in [other.type for other in recipe.trackers[:index]]:
            yield ("trackers", index), f"the tracker {tracker.type} is there already; remove one of the two"


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
        heads = [objective.title for objective in stage.objectives if not objective.trained_task]
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
    on_text = [objective.gives for stage in recipe.stages for objective in stage.objectives if objective.gives]
    for index, metric in enumerate(recipe.evaluate.metrics):
        of_tasks = any(measures(metric, task) for task in recipe.all_tasks.values())
        if not of_tasks and not any(metric.needs <= given for given in on_text):
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
        known = f"There are {', '.join(names)}; to choose by another metric, put it into `evaluate.metrics`"
        yield ("evaluate", "best"), f"{best!r} is not among {whose}{nearest(best, names)} {known}"
