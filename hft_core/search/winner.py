"""The best trial as a recipe of its own, comments and order kept, beside the one that was searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hft_core.recipe.beside import place_beside, sign
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.overrides import apply_overrides
from hft_core.recipe.roundtrip import read_text, written
from hft_core.recipe.search import Dimension, Search
from hft_core.recipe.values import put_values
from hft_core.recipe.words import shown_value
from hft_core.search.study import Entry
from hft_core.store.files import put_text

COMMAND = "hft search"
ENDING = "best"


def write_best(
    recipe: Path, text: str, overrides: Iterable[str], base: LoadedRecipe, settings: Search, best: Entry, title: str
) -> Path:
    """Write the recipe of a trial: `text`, which was searched, with the trial's values, `-best` behind its name.

    What the file `recipe` has become meanwhile does not count.
    """
    raw = read_text(text)
    apply_overrides(raw, overrides)
    raw.pop("search", None)
    raw["name"] = f"{base.recipe.name}-best"
    if settings.metric is not None:
        raw.setdefault("evaluate", {})["best"] = settings.metric
    put_values(raw, base, best.values)
    for path, value in best.values.items():
        _comment(raw, path, value, settings.space[path])
    target = place_beside(recipe, ENDING, COMMAND)
    head = f"{sign(COMMAND)} {recipe.name}: trial {best.number}, {title} {best.figure:.4f} on validation.\n"
    put_text(target, head + written(raw))
    return target


def _comment(raw: Any, path: str, value: Any, dimension: Dimension) -> None:
    """Say beside a field what it was searched in, where there is room for it."""
    *outer, last = path.split(".")
    holder = raw
    for step in outer:
        holder = holder[int(step) if isinstance(holder, list) else step]
    if not hasattr(holder, "yaml_add_eol_comment") or isinstance(value, (Mapping, list)) or holder.fa.flow_style():
        return
    if dimension.choices is not None:
        tried = f"out of {', '.join(map(str, dimension.choices))}"
    else:
        assert dimension.low is not None
        assert dimension.high is not None
        tried = f"{shown_value(dimension.low)} … {shown_value(dimension.high)}"
    key = int(last) if isinstance(holder, list) else last
    there = holder.ca.items.get(key)
    token = there[0 if isinstance(holder, list) else 2] if there else None
    if token is None:
        holder.yaml_add_eol_comment(f"searched: {tried:.60}", key)
    else:  # which has the comments of the lines below, too
        own, newline, below = token.value.partition("\n")
        said = f"{own} (searched: {tried:.60})" if own else f"# searched: {tried:.60}"
        token.value = f"{said}{newline}{below}"
