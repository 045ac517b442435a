"""Runs side by side: their figures, differences on the rows that they share, what their recipes differ in, what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.errors import DataError, HftError, RecipeError
from hft_core.evidence.comparison import Values, compare_crossed, holm
from hft_core.pipeline.compare_sides import Measure, Side

FORMAT = 1
"""Of what `compare` gives. Grows when a key goes or changes its meaning."""


def compare(folders: Sequence[Path], wanted: str | None = None) -> dict[str, Any]:
    """Compare runs; plain JSON. `wanted` is the figure, where it is not what decides in the runs.

    Raises RecipeError for runs whose figures measure something else, DataError for runs that were measured on other rows,
    DamagedError for run folders that lack what is needed.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise RecipeError("hft compare needs two different runs or more")
    sides = [Side.read(folder) for folder in folders]
    split, figure = _common(sides, wanted)
    measures = [side.measure(figure) for side in sides]
    _require_alike(sides, measures, figure)
    rows = _same_rows(sides, measures, split)
    greater = _greater_is_better(sides, measures, figure)
    return {
        "format": FORMAT,
        "task": ", ".join(dict.fromkeys(side.report.task for side in sides if side.report.task)) or None,
        "split": split,
        "metric": figure,
        "greater_is_better": greater,
        "rows": rows,
        "runs": [_described(side) for side in sides],
        "differences": _differences(sides, measures, split, figure, rows, greater),
        "recipes": _recipe_differences([side.note.recipe for side in sides]),
    }


def _common(sides: Sequence[Side], wanted: str | None) -> tuple[str, str]:
    """The split and the figure that all runs share."""
    heads = []
    for side in sides:
        if side.report.headline is None:
            raise RecipeError(f"{side.folder} was not measured on a task, so there is nothing to compare")
        heads.append(side.report.headline)
    if len({head.split for head in heads}) > 1:
        told = ", ".join(f"{side.folder} on {head.split}" for side, head in zip(sides, heads, strict=True))
        raise RecipeError(f"the runs were measured on different splits ({told}); give all of them the same test")
    split = heads[0].split
    if wanted is None and len({head.metric for head in heads}) > 1:
        told = ", ".join(f"{side.folder} by {head.metric}" for side, head in zip(sides, heads, strict=True))
        raise RecipeError(f"the runs were decided by different metrics ({told}); name one that all have with --metric")
    figure = wanted or heads[0].metric
    for side in sides:
        known = side.report.metrics.get(split, {})
        if figure not in known:
            has = ", ".join(name for name in known if "[" not in name)
            raise RecipeError(f"{side.folder} has no figure {figure!r} on {split}; it has {has}")
        if known[figure].value is None:
            raise RecipeError(f"{figure} of {side.folder} on {split} is no number; choose another figure with --metric")
    return split, figure


def _require_alike(sides: Sequence[Side], measures: Sequence[Measure | None], figure: str) -> None:
    """Raise RecipeError where one title means different things: another kind of target, or other settings of a metric."""
    first, own = sides[0], measures[0]
    for side, measure in zip(sides[1:], measures[1:], strict=True):
        forms = {one.form if one else None for one in (own, measure)}
        if side.report.task != first.report.task and (len(forms) > 1 or None in forms):
            raise RecipeError(
                f"{side.folder} is a run of the task {side.report.task}, {first.folder} one of {first.report.task}; "
                "compare runs of one task, or of tasks that answer in the same form"
            )
        if own and measure and dict(own.identity) != dict(measure.identity):
            raise RecipeError(
                f"{figure} was measured with other settings in {side.folder} ({dict(measure.identity)}) than in {first.folder} "
                f"({dict(own.identity)}); choose another figure with --metric"
            )


def _same_rows(sides: Sequence[Side], measures: Sequence[Measure | None], split: str) -> int:
    """How many rows all runs were measured on. Raises DataError where they are not the same ones."""
    found = []
    for side, measure in zip(sides, measures, strict=True):
        measured = side.rows(split, measure)
        if measured is None:
            raise DataError(
                f"{side.folder} does not say which rows it was measured on (hft {side.report.hft}); run its recipe again"
            )
        found.append(measured)
    for side, measured in zip(sides, found, strict=True):
        if measured.digest != found[0].digest:
            raise DataError(
                f"{side.folder} was measured on other rows of {split} ({measured.rows}) than {sides[0].folder} "
                f"({found[0].rows}), or their labels differ; figures on different rows cannot be compared"
            )
    return found[0].rows


def _greater_is_better(sides: Sequence[Side], measures: Sequence[Measure | None], figure: str) -> bool | None:
    """Which way a figure improves, as its metric says, or a report of what decides; None where neither is there."""
    for measure in measures:
        if measure and measure.metric:
            return measure.metric.greater_is_better
    heads = [side.report.headline for side in sides if side.report.headline]
    return next((head.greater_is_better for head in heads if head.metric == figure), None)


def _described(side: Side) -> dict[str, Any]:
    report, content = side.report, side.content
    return {
        "folder": str(side.folder),
        "name": report.name,
        "task": report.task,
        "created": content["created"],
        "hft": report.hft,
        "model": report.model,
        "seeds": report.seeds,
        "metrics": content["metrics"],
        "cost": content.get("cost"),
        "calibration": report.scores.calibration.ece if report.scores else None,
    }


def _differences(
    sides: Sequence[Side], measures: Sequence[Measure | None], split: str, figure: str, rows: int, greater: bool | None
) -> list[dict[str, Any]]:
    """The later run's figure less the earlier one's, of each pair, with one correction for all."""
    values = [_values(side, measure, split, figure) for side, measure in zip(sides, measures, strict=True)]
    found: list[dict[str, Any]] = []
    for one, two in combinations(range(len(sides)), 2):
        entry: dict[str, Any] = {"run": two, "against": one}
        first, second = values[one], values[two]
        if isinstance(first, str) or isinstance(second, str):
            entry["why"] = first if isinstance(first, str) else second
        elif rows < 2:
            entry["why"] = f"one row of {split} shows no difference"
        else:
            seeds = min(len(first), len(second))
            result = compare_crossed(np.stack(first[:seeds]), np.stack(second[:seeds]), rows)
            entry |= {**result.told(greater is not False), "p": result.p_two_sided, "seeds": seeds}
        found.append(entry)
    paired = [entry for entry in found if "p" in entry]
    for entry, adjusted in zip(paired, holm([entry["p"] for entry in paired]), strict=True):
        entry["adjusted"] = adjusted
    return found


def _values(side: Side, measure: Measure | None, split: str, figure: str) -> list[Values] | str:
    """What each seed's rows came to, greater is better; or why that cannot be had."""
    if measure is None:
        return f"{side.folder}: it does not say by which metric {figure} was measured"
    if measure.detail:
        return f"{figure} is a detail of {measure.identity['name']}; only a metric's main figure can be paired"
    try:
        return side.values(split, measure)
    except (HftError, OSError, ValueError, TypeError, KeyError, EOFError) as error:
        return f"{side.folder}: {error}"


def _recipe_differences(recipes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The places in which the recipes differ, with each one's value; None where it has none."""
    flat = [dict(_flattened(recipe, "")) for recipe in recipes]
    places = dict.fromkeys(place for one in flat for place in one)
    return [
        {"place": place, "values": [one.get(place) for one in flat]}
        for place in places
        if place != "name" and any(one.get(place) != flat[0].get(place) for one in flat)
    ]


def _flattened(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if not items or not value:
        yield place, value
        return
    for key, item in items:
        yield from _flattened(item, f"{place}.{key}" if place else str(key))
