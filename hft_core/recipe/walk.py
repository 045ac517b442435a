"""Walks through a recipe's settings, each with its location as written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hft_core.components import Model
from hft_core.recipe.model import DIRECT, Data, Recipe
from hft_core.recipe.yaml import Location


def entries(settings: BaseModel, location: Location) -> Iterator[tuple[Location, Any]]:
    """Walk through the recipe: every setting with its location as written."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        direct = isinstance(settings, Data) and name in DIRECT
        here = location if direct else (*location, field.alias or name)
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
    """Every file or folder that a setting names, but for those that a model checks when it locates them."""
    located: set[Location] = set()
    for place, value in entries(recipe, location):
        if isinstance(value, Model):
            located |= {(*place, name) for name in value.located}
        if isinstance(value, Path) and place not in located:
            yield place, value
