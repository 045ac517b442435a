"""Values of a recipe's fields, by their places such as `stages.1.optimizer.lr`."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from hft_core.components import Component
from hft_core.recipe.load import LoadedRecipe, load_variant
from hft_core.recipe.overrides import put
from hft_core.registry import Registry

Values = Mapping[str, Any]
"""A value for each of some fields."""


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
            default = value_at(base.recipe, steps[:depth])
            if isinstance(default, Component) and value_at(raw, steps[:depth]) is None:
                given = default.model_dump(mode="json", exclude_unset=True, by_alias=True)
                put(raw, steps[:depth], {"type": default.type_name()} | given, path)
        put(raw, steps, deepcopy(values[path]), f"the field {path!r}")


def value_at(value: Any, steps: list[str]) -> Any:
    """What stands at a place, of plain values or of a recipe; None where there is nothing."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list):
            value = value[int(step)] if step.isdecimal() and int(step) < len(value) else None
        else:
            value = getattr(value, step, None) if isinstance(value, BaseModel) else None
    return value
