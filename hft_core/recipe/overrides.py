"""`--set stages.1.optimizer.lr=3e-5`: changes of single values, before the recipe is checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hft_core.errors import RecipeError
from hft_core.recipe.yaml import parse_yaml


def apply_overrides(raw: Any, overrides: Iterable[str]) -> None:
    """Change the plain values of a recipe in place. Raises RecipeError where the path leads nowhere."""
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise RecipeError(f"--set {text!r}: write it as path=value, such as stages.0.epochs=3")
        _set(raw, path.split("."), parse_yaml(value, f"--set {path}")[0] if value.strip() else "", text)


def _set(raw: Any, path: list[str], value: Any, text: str) -> None:
    holder = raw
    for depth, step in enumerate(path[:-1]):
        holder = (
            holder.setdefault(step, {})
            if isinstance(holder, dict)
            else holder[_index(holder, step, path[:depth], text)]
        )
        if not isinstance(holder, (dict, list)):
            raise RecipeError(f"--set {text!r}: {'.'.join(path[: depth + 1])} is {holder!r}, which has nothing inside")
    last = path[-1]
    if isinstance(holder, dict):
        holder[last] = value
    else:
        holder[_index(holder, last, path[:-1], text)] = value


def _index(items: list[Any], step: str, path: list[str], text: str) -> int:
    if not step.isdigit() or int(step) >= len(items):
        where = ".".join(path)
        raise RecipeError(
            f"--set {text!r}: {where} is a list of {len(items)}; use {where}.0 to {where}.{len(items) - 1}"
        )
    return int(step)
