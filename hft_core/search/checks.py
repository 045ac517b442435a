"""What is wrong with a recipe's `search` is found before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hft_core.errors import DataError, HftError, RecipeError
from hft_core.pipeline.plan_arms import deciding
from hft_core.recipe.check_stages import nearest
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import deciding_metrics, resolve_metrics
from hft_core.recipe.model import Recipe
from hft_core.recipe.search import Dimension, Search
from hft_core.recipe.sources import readers_of, split_of
from hft_core.recipe.values import Values, variant
from hft_core.recipe.yaml import place_of
from hft_core.registry import Registry
from hft_core.search.space import plain

_MEASURE = "decides what trials are measured by"
_NOT_SEARCHED = {
    **dict.fromkeys(("name", "export", "report", "trackers", "strategy"), "changes nothing that is measured"),
    **dict.fromkeys(("plugins", "requires", "disable", "search"), "says what runs, and not how"),
    "evaluate": _MEASURE,
    "seed": "would choose luck; set `evaluate: {seeds: 3}` to average over it",
}


def settings_of(loaded: LoadedRecipe) -> Search:
    """The recipe's `search`. Raises RecipeError where it has none."""
    if loaded.recipe.search is None:
        raise RecipeError(
            f"{loaded.where}: the recipe has no `search`; add what to try, such as "
            "search: {space: {stages.0.optimizer.lr: {low: 1e-5, high: 1e-3, log: true}}, trials: 20}"
        )
    return loaded.recipe.search


def checked(loaded: LoadedRecipe, registry: Registry) -> LoadedRecipe:
    """Check a recipe's `search`, and give the recipe that its trials begin with: `plain`.

    Both ends of each field, and every choice, are put in and checked as `hft check` does, each alone; where these are right,
    all first and all last ones together. Raises RecipeError, or what a recipe with such a value raises, before anything is
    trained.
    """
    settings = settings_of(loaded)
    where = f"{loaded.where}, {place_of(('search', 'metric'), loaded.lines)}"
    if not loaded.recipe.all_tasks:
        raise RecipeError(f"{where}: a search needs a `task`, by whose figures trials are compared; add one")
    names = [best.title for best in deciding_metrics(loaded.recipe, resolve_metrics(loaded.recipe, registry))]
    if settings.metric is not None and settings.metric not in names:
        hint = nearest(settings.metric, names)
        raise RecipeError(f"{where}: the task has no metric {settings.metric!r}{hint} There are {', '.join(names)}")
    base = plain(loaded, registry)
    problems: list[HftError] = []
    for path, dimension in settings.space.items():
        problems += _of_field(loaded, base, registry, path, dimension)
    if not problems and len(settings.space) > 1:
        for values in ends(settings.space):
            problems += _of_values(loaded, base, registry, "", values)[:1]
    if problems:
        raise type(problems[0])("\n".join(dict.fromkeys(map(str, problems))))
    return base


def to_try(space: dict[str, Dimension]) -> Iterator[dict[str, Any]]:
    """The values that are checked: each end and choice alone, then all first and all last ones together."""
    for path, dimension in space.items():
        yield from ({path: value} for value in _values(dimension))
    if len(space) > 1:
        yield from ends(space)


def ends(space: dict[str, Dimension]) -> tuple[dict[str, Any], dict[str, Any]]:
    """All first values, and all last ones."""
    first, last = ({path: _values(dimension)[end] for path, dimension in space.items()} for end in (0, -1))
    return first, last


def _values(dimension: Dimension) -> list[Any]:
    return dimension.choices if dimension.choices is not None else [dimension.low, dimension.high]


def _of_field(
    loaded: LoadedRecipe, base: LoadedRecipe, registry: Registry, path: str, dimension: Dimension
) -> list[HftError]:
    """What is wrong with a field, or with values of it; what is wrong with both ends of a range is told once."""
    steps = path.split(".")
    held_out = steps[0] == "data" and bool({"validation", "test", "split"} & set(steps))
    if reason := _MEASURE if held_out else _NOT_SEARCHED.get(steps[0]):
        place = place_of(("search", "space", path), loaded.lines)
        return [RecipeError(f"{loaded.where}, {place}: {path} {reason}; search another field")]
    found: dict[str, HftError] = {}
    for value in _values(dimension):
        for error in _of_values(loaded, base, registry, path, {path: value}):
            said = str(error).partition(_given({path: value}))[2]
            found.setdefault(said if dimension.choices is not None else said.replace(repr(value), "…"), error)
    return list(found.values())


def _of_values(
    loaded: LoadedRecipe, base: LoadedRecipe, registry: Registry, path: str, values: Values
) -> list[HftError]:
    """What is wrong with values of a field, or of all fields where `path` is empty: one error, or none."""
    try:
        _require_same_measure(base, variant(base, registry, values), registry)
    except HftError as error:
        place = place_of(("search", "space", *([path] if path else [])), loaded.lines)
        said = str(error).replace(f"{loaded.where}, ", "")
        return [type(error)(f"{loaded.where}, {place}: with {_given(values)}: {said}")]
    return []


def _given(values: Values) -> str:
    return ", ".join(f"{name} = {value!r:.60}" for name, value in values.items())


# ---- what trials are measured by ----


def _require_same_measure(base: LoadedRecipe, other: LoadedRecipe, registry: Registry) -> None:
    """Raise RecipeError where figures of two variants would not be about the same rows, or not about the same target."""
    task = deciding(base, registry)[0].task
    if _held_out(base.recipe, task) != _held_out(other.recipe, task):
        instead = "" if "validation" in readers_of(base.recipe, task) else ", or give a source of validation of its own"
        raise RecipeError(f"trials would be measured on other rows; search another field{instead}")
    tasks = [recipe.all_tasks.get(task) for recipe in (base.recipe, other.recipe)]
    if tasks[0] != tasks[1] and _target(base.recipe, task) != _target(other.recipe, task):
        raise RecipeError("trials would be measured by another target, or on other rows; search another field")


def _held_out(recipe: Recipe, task: str) -> dict[str, Any]:
    """What decides which rows validation and test have: their sources, or the one that they are split off, and how."""
    readers = {name: reader.model_dump(mode="json") for name, reader in readers_of(recipe, task).items()}
    found = {name: readers.get(name) for name in ("validation", "test")}
    if "validation" in readers:
        return found
    split = split_of(recipe, task)
    return found | {
        "train": readers.get("train"),
        "split": split.model_dump(mode="json") if split else None,
        "leakage": recipe.prepare.leakage,  # rows that stand in the test may be dropped before anything is split off
    }


def _target(recipe: Recipe, task: str) -> tuple[object, ...]:
    """What a task makes of the first rows: which it refuses, what is right of the others, and what they are split by."""
    from hft_core.data.reading import sample_of, source_title

    if task not in recipe.all_tasks:
        return ()
    readers = readers_of(recipe, task)
    sample = sample_of(readers["train"])
    bound = recipe.all_tasks[task].bind(sample)
    roles, rows = bound.roles(), bound.arrange(sample)
    if missing := [column for column in roles.columns if column not in rows]:
        raise DataError(f"{source_title(readers['train'])} has no column {missing[0]!r}; it has {', '.join(rows)}")
    split_by = () if "validation" in readers else (roles.group or (*roles.text, *roles.inputs))
    refused = [reason is not None for reason in bound.refusals(rows)]
    kept = {name: [value for value, no in zip(rows[name], refused, strict=True) if not no] for name in roles.columns}
    try:
        truths = bound.truths(kept, bound.learn([kept]))
    except DataError:  # the first rows alone may be too few to learn from
        truths = []
    return bound.target_form, roles.target, roles.spans, split_by, refused, truths
