"""Checks of a recipe's data: what its entries read, and what is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from hft_core.components import Model, Objective, Reader
from hft_core.errors import PluginError
from hft_core.recipe.check_stages import Problem, nearest
from hft_core.recipe.model import SPLITS, Recipe, Split
from hft_core.recipe.sources import readers_of, resolve, source_names
from hft_core.recipe.walk import entries
from hft_core.recipe.yaml import Location

NOTHING_KNOWN = (
    "asks the recipe's model, which is made from scratch and knows nothing yet; start from an earlier run or a pretrained model, "
    "or use `synonyms` with a table"
)
"""What is said of an augmenter that asks a fresh model."""


def sources(recipe: Recipe) -> Iterator[Problem]:
    """Sources that are not there, that nothing reads, that are for evaluation only, or that are there twice."""
    tasks = recipe.all_tasks
    known = [*recipe.data.sources, *(f"{task}.{split}" for task in recipe.data.tasks for split in SPLITS[:1])]
    read: set[str] = set()
    for index, stage in enumerate(recipe.stages):
        for position, objective in enumerate(stage.objectives):
            place = ("stages", index, "objectives", position, "data")
            names = source_names(objective)
            for name in names if not unclear(objective, recipe) else ():
                source = resolve(recipe, objective, name)
                if source is None:
                    read.add(name)  # as far as it goes: a source whose name is misspelt finds its reader
                    yield place, f"there is no data source {name!r}{nearest(name, known)} Sources: {', '.join(known)}"
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
            hint = nearest(name, [other for other in read if other not in recipe.data.sources])
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


def augmenters(recipe: Recipe) -> Iterator[Problem]:
    """A `check` of variants for tasks whose rows have no label that could be predicted, and questions to a fresh model."""
    without = [name for name, task in recipe.all_tasks.items() if not task.classes]
    for index, augmenter in enumerate(recipe.prepare.augment):
        if augmenter.reads_model and is_fresh(recipe.model):
            yield ("prepare", "augment", index), f"{augmenter.type_name()} {NOTHING_KNOWN}"
        if augmenter.check is not None and without:
            yield (
                ("prepare", "augment", index, "check"),
                f"only labels can be checked, one a row, and {' and '.join(map(repr, without))} has none; leave it out",
            )


def is_fresh(model: Model) -> bool:
    """Whether it starts from nothing; what would have to be looked for in packages or on the hub counts as something."""
    if any(isinstance(getattr(model, name), str) for name in model.located):
        return False
    with suppress(PluginError):  # said where the model is located
        return model.locate() is None
    return False


def same_rows(recipe: Recipe) -> Iterator[Problem]:
    """A test set that is the validation set: what chose the model would measure it. All files have to be there."""
    for task in recipe.all_tasks:
        readers = readers_of(recipe, task)
        validation, test = readers.get("validation"), readers.get("test")
        if validation is None or test is None or not any(sizes := _sizes(validation)) or sizes != _sizes(test):
            continue  # empty files have no rows that could be the same
        if validation.identity() == test.identity():
            place: Location = ("data", task, "test") if task in recipe.data.tasks else ("data", "test")
            yield (
                place,
                "test has the same rows as validation, by which the best weights are chosen; give rows that nothing was "
                "chosen by, or leave `test` out",
            )


def _sizes(reader: Reader) -> list[int]:
    """Bytes of each file that it reads; spares hashing files that differ anyway."""
    return [path.stat().st_size for _, path in entries(reader, ()) if isinstance(path, Path) and path.is_file()]


def unclear(objective: Objective, recipe: Recipe) -> bool:
    """Whether it should train a task, but does not say which: one complaint about that is enough."""
    return objective.task not in recipe.all_tasks if objective.task else objective.needs_task
