"""`--set stages.1.optimizer.lr=3e-5`: changes of single values, before the recipe is checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hft_core.errors import RecipeError
from hft_core.recipe.yaml import Location, parse_yaml


def apply_overrides(raw: Any, overrides: Iterable[str]) -> list[Location]:
    """Change the plain values of a recipe in place; gives the places. Raises RecipeError where a path leads nowhere."""
    places: list[Location] = []
    for text in overrides:
        path, equals, value = text.partition("=")
        steps = path.split(".")
        if not equals or not all(steps):
            raise RecipeError(f"--set {text!r}: write it as path=value, such as stages.0.epochs=3")
        places.append(
            put(raw, steps, parse_yaml(value, f"--set {path}")[0] if value.strip() else "", f"--set {text!r}")
        )
    return places


def put(raw: Any, steps: list[str], value: Any, said: str) -> Location:
    """Put a value at a place of a recipe's plain values; gives the place. `said` begins the error where it leads nowhere."""
    holder = raw
    place: Location = ()
    for depth, step in enumerate(steps[:-1]):
        key = _key(holder, step, steps[:depth], said)
        place += (key,)
        holder = holder.setdefault(key, {}) if isinstance(holder, dict) else holder[key]
    last = _key(holder, steps[-1], steps[:-1], said)
    holder[last] = value
    return (*place, last)


def _key(holder: Any, step: str, before: list[str], said: str) -> Any:
    """The key or the index that a step means."""
    where = ".".join(before)
    if isinstance(holder, dict):
        return step
    if not isinstance(holder, list):
        raise RecipeError(f"{said}: {where} is {holder!r}, which has nothing inside")
    if step.isascii() and step.isdecimal() and int(step) < len(holder):
        return int(step)
    usable = {0: "set the whole list", 1: f"use {where}.0"}
    hint = usable.get(len(holder), f"use {where}.0 to {where}.{len(holder) - 1}")
    raise RecipeError(f"{said}: {where} is a list of {len(holder)}; {hint}")
