"""The space of a search: values of fields, put into a recipe's plain values and checked as any recipe is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from hft_core.components import Component
from hft_core.errors import HftError, RecipeError
from hft_core.recipe.check_stages import nearest
from hft_core.recipe.load import LoadedRecipe, load_variant
from hft_core.recipe.metrics import Best, best_metric, deciding_metrics, resolve_metrics
from hft_core.recipe.overrides import put
from hft_core.recipe.parts import ungated
from hft_core.recipe.search import Dimension, Search
from hft_core.recipe.yaml import place_of
from hft_core.registry import Registry

Values = Mapping[str, Any]
"""A value for each field of a space."""

_NOT_SEARCHED = {
    **dict.fromkeys(("name", "export", "report", "trackers", "strategy"), "changes nothing that is measured"),
    **dict.fromkeys(("plugins", "requires", "disable", "search"), "says what runs, and not how"),
    **dict.fromkeys(("evaluate", "data.validation", "data.test", "data.split"), "decides what trials are measured by"),
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

    Both ends of each field, and every choice, are put in and checked as `hft check` does, each alone and all first and last
    ones together. Raises RecipeError, or what a recipe with such a value raises, before anything is trained.
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
    problems: list[tuple[type[HftError], str]] = []
    for path, values in _to_try(settings):
        try:
            variant(base, registry, values)
        except HftError as error:
            place = place_of(("search", "space", *([path] if path else [])), loaded.lines)
            given = ", ".join(f"{name} = {value!r:.60}" for name, value in values.items())
            said = str(error).replace(f"{loaded.where}, ", "")
            problems.append((type(error), f"{loaded.where}, {place}: with {given}: {said}"))
    for path in settings.space:
        if reason := _refusal(path):
            place = place_of(("search", "space", path), loaded.lines)
            problems.append((RecipeError, f"{loaded.where}, {place}: {path} {reason}; search another field"))
    if problems:
        texts = dict.fromkeys(text for _, text in problems)
        raise problems[0][0]("\n".join(texts))
    return base


def plain(loaded: LoadedRecipe, registry: Registry) -> LoadedRecipe:
    """The recipe without `search`, its gated entries there for good, and the search's metric as the one that decides."""
    raw = ungated(loaded.raw)
    settings = raw.pop("search", None) or {}
    if settings.get("metric") is not None:
        raw["evaluate"] = {**(raw.get("evaluate") or {}), "best": settings["metric"]}
    return load_variant(loaded, registry, raw)


def variant(base: LoadedRecipe, registry: Registry, values: Values) -> LoadedRecipe:
    """The recipe with these values of fields. Raises as loading a recipe does."""
    return load_variant(base, registry, with_values(base, values))


def with_values(base: LoadedRecipe, values: Values) -> dict[str, Any]:
    """A recipe's plain values with these ones put in."""
    raw = deepcopy(base.raw)
    put_values(raw, base, values)
    return raw


def put_values(raw: Any, base: LoadedRecipe, values: Values) -> None:
    """Put values of fields into a recipe's plain values; `base` is the recipe that they are of.

    Outer fields come before those inside of them. A component that the recipe leaves to its default is written out first:
    a field alone would be none.
    """
    for path in sorted(values, key=lambda path: path.count(".")):
        steps = path.split(".")
        for depth in range(1, len(steps)):
            default = _at(base.recipe, steps[:depth])
            if isinstance(default, Component) and _at(raw, steps[:depth]) is None:
                given = default.model_dump(mode="json", exclude_unset=True, by_alias=True)
                put(raw, steps[:depth], {"type": default.type_name()} | given, path)
        put(raw, steps, deepcopy(values[path]), f"the field {path!r}")


def written(base: LoadedRecipe, space: Mapping[str, Dimension]) -> dict[str, Any] | None:
    """The recipe's own values, with which a search begins; None where one of them is outside of the space."""
    own = {}
    for path, dimension in space.items():
        value = _at(base.raw, path.split("."))
        if value is None:
            value = _at(base.recipe, path.split("."))
        if isinstance(value, BaseModel) or not inside(dimension, value):
            return None
        own[path] = value
    return own


def inside(dimension: Dimension, value: Any) -> bool:
    """Whether a search may try this value."""
    if dimension.choices is not None:
        return value in dimension.choices
    number = isinstance(value, int if dimension.whole else (int, float)) and not isinstance(value, bool)
    return number and dimension.low <= value <= dimension.high and dimension.step is None


def label(choice: Any) -> Any:
    """What a study calls a choice: itself, or as JSON where it is no plain value."""
    plain_value = choice is None or isinstance(choice, (bool, int, float, str))
    return choice if plain_value else json.dumps(choice, ensure_ascii=False, sort_keys=True)


def meant(dimension: Dimension, found: Any) -> Any:
    """The value that a study's one stands for; numbers have six digits, which are enough for people and for training."""
    if dimension.choices is not None:
        return next(choice for choice in dimension.choices if label(choice) == found)
    if isinstance(found, int):
        return found
    assert dimension.low is not None
    assert dimension.high is not None
    return min(max(float(f"{found:.6g}"), float(dimension.low)), float(dimension.high))


def points(space: Mapping[str, Dimension]) -> int | None:
    """How many points a space has; None where there are numbers between any two."""
    total = 1
    for dimension in space.values():
        if dimension.choices is not None:
            total *= len(dimension.choices)
        elif dimension.whole or dimension.step:
            assert dimension.low is not None
            assert dimension.high is not None
            total *= int((dimension.high - dimension.low) / (dimension.step or 1) + 1e-9) + 1
        else:
            return None
    return total


def deciding(base: LoadedRecipe, registry: Registry) -> Best:
    """The figure that trials are compared by."""
    best = best_metric(base.recipe, resolve_metrics(base.recipe, registry))
    assert best is not None  # `checked` wants a task
    return best


def _refusal(path: str) -> str | None:
    steps = path.split(".")
    measured = steps[0] == "data" and bool({"validation", "test", "split"} & set(steps))
    return _NOT_SEARCHED["data.split"] if measured else _NOT_SEARCHED.get(steps[0])


def _ends(dimension: Dimension) -> list[Any]:
    return dimension.choices if dimension.choices is not None else [dimension.low, dimension.high]


def _to_try(settings: Search) -> Iterator[tuple[str, dict[str, Any]]]:
    """Values to check, each with the field that they are of, or '' for all together."""
    allowed = {path: dimension for path, dimension in settings.space.items() if not _refusal(path)}
    for path, dimension in allowed.items():
        for value in _ends(dimension):
            yield path, {path: value}
    if len(allowed) > 1:
        for end in (0, -1):
            yield "", {path: _ends(dimension)[end] for path, dimension in allowed.items()}


def _at(value: Any, steps: list[str]) -> Any:
    """What stands at a place, of plain values or of a recipe; None where there is nothing."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list):
            value = value[int(step)] if step.isdecimal() and int(step) < len(value) else None
        else:
            value = getattr(value, step, None) if isinstance(value, BaseModel) else None
    return value
