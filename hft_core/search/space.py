"""The space of a search: its points, and how the values of one are put into a recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from hft_core.recipe.load import LoadedRecipe, load_variant
from hft_core.recipe.parts import ungated
from hft_core.recipe.search import Dimension
from hft_core.recipe.values import value_at
from hft_core.registry import Registry

_ON_GRID = 1e-8
"""How far from a whole number of steps, in steps, a value may lie; Optuna's own tolerance."""


def plain(loaded: LoadedRecipe, registry: Registry) -> LoadedRecipe:
    """The recipe without `search`, its gated entries there for good, and the search's metric as the one that decides."""
    raw = ungated(loaded.raw)
    settings = raw.pop("search", None) or {}
    if settings.get("metric") is not None:
        raw["evaluate"] = {**(raw.get("evaluate") or {}), "best": settings["metric"]}
    return load_variant(loaded, registry, raw)


def own_values(base: LoadedRecipe, space: Mapping[str, Dimension]) -> dict[str, Any] | None:
    """The recipe's own values, with which a search begins; None where one of them is outside of the space."""
    own = {}
    for path, dimension in space.items():
        value = value_at(base.raw, path.split("."))
        if value is None:
            value = value_at(base.recipe, path.split("."))
        if isinstance(value, BaseModel) or not inside(dimension, value):
            return None
        own[path] = value
    return own


def inside(dimension: Dimension, value: Any) -> bool:
    """Whether a search may try this value."""
    if dimension.choices is not None:
        return value in dimension.choices
    if not isinstance(value, int if dimension.whole else (int, float)) or isinstance(value, bool):
        return False
    assert dimension.low is not None
    assert dimension.high is not None
    steps = (value - dimension.low) / (dimension.step or 1)
    on_grid = dimension.step is None or abs(steps - round(steps)) < _ON_GRID
    return dimension.low <= value <= dimension.high and on_grid


def label(choice: Any) -> Any:
    """What a study calls a choice: itself, or as JSON where it is no plain value."""
    plain_value = choice is None or isinstance(choice, (bool, int, float, str))
    return choice if plain_value else json.dumps(choice, ensure_ascii=False, sort_keys=True)


def meant(dimension: Dimension, found: Any) -> Any:
    """The value that a study's one stands for."""
    if dimension.choices is not None:
        return next(choice for choice in dimension.choices if label(choice) == found)
    return found


def rounded(dimension: Dimension, found: Any) -> Any:
    """A drawn value with six digits, which are enough for people and for training; within the ends."""
    if dimension.choices is not None or isinstance(found, int):
        return found
    assert dimension.low is not None
    assert dimension.high is not None
    return min(max(float(f"{found:.6g}"), float(dimension.low)), float(dimension.high))


def size(dimension: Dimension) -> int | None:
    """How many values a field takes; None where there are numbers between any two."""
    if dimension.choices is not None:
        return len(dimension.choices)
    if not dimension.whole and dimension.step is None:
        return None
    assert dimension.low is not None
    assert dimension.high is not None
    return int((dimension.high - dimension.low) / (dimension.step or 1) + 1e-9) + 1


def points(space: Mapping[str, Dimension]) -> int | None:
    """How many points a space has; None where it has no end of them."""
    sizes = [size(dimension) for dimension in space.values()]
    return None if None in sizes else math.prod(one for one in sizes if one is not None)


def place(dimension: Dimension, value: Any) -> int:
    """Which of a field's values, from 0, this one is; only of a field with a `size`."""
    if dimension.choices is not None:
        return dimension.choices.index(value)
    number: int = round((value - dimension.low) / (dimension.step or 1))
    return number


def at(dimension: Dimension, number: int) -> Any:
    """The value at a `place`."""
    if dimension.choices is not None:
        return dimension.choices[number]
    assert dimension.low is not None
    return dimension.low + number * (dimension.step or 1)
