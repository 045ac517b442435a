"""Runs side by side: their figures, differences on the rows that they share, what their recipes differ in, what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.components import Metric
from hft_core.errors import DataError, HftError, RecipeError
from hft_core.evidence.comparison import Values, compare_crossed, holm, pseudo_values
from hft_core.pipeline.folder import recorded
from hft_core.pipeline.rewrite import read_report
from hft_core.pipeline.steps.common import read_json
from hft_core.recipe.plugins import registry_for
from hft_core.store.store import Store

FORMAT = 1
"""Of what `compare` gives. Grows when a key goes or changes its meaning."""


@dataclass(frozen=True)
class _Side:
    """A run to be compared."""

    folder: Path
    report: dict[str, Any]
    note: dict[str, Any]

    @property
    def evaluations(self) -> list[tuple[Path, Mapping[str, Any]]]:
        """The folders in the store with what each seed's model was measured by, and their settings; of all tasks."""
        store = Store(Path(self.note["store"]))
        nodes = [
            node
            for name, node in self.note["nodes"].items()
            if node["parts"]["kind"] == "evaluate" and not name.startswith("plain: ")
        ]
        return [(store.folder(node["key"]), node["parts"]["settings"]) for node in nodes if store.has(node["key"])]


def compare(folders: Sequence[Path], wanted: str | None = None) -> dict[str, Any]:
    """Compare runs; plain JSON. `wanted` is the metric, where it is not what decides in the runs.

    Raises RecipeError for runs with other tasks or metrics, DataError for runs that were measured on other rows.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise RecipeError("hft compare needs two different runs or more")
    sides = [_Side(folder, read_report(folder), recorded(folder)) for folder in folders]
    split, metric, greater = _common(sides, wanted)
    rows = _same_rows(sides, split)
    return {
        "format": FORMAT,
        "task": sides[0].report["task"],
        "split": split,
        "metric": metric,
        "greater_is_better": greater,
        "rows": rows,
        "runs": [_described(side) for side in sides],
        "differences": _differences(sides, split, metric, greater),
        "recipes": _recipe_differences([side.note.get("recipe", {}) for side in sides]),
    }


def _common(sides: Sequence[_Side], wanted: str | None) -> tuple[str, str, bool]:
    """The split and the metric that all runs share, and which way it improves."""
    first = sides[0]
    for side in sides:
        if side.report["headline"] is None:
            raise RecipeError(f"{side.folder} was not measured on a task, so there is nothing to compare")
        if side.report["task"] != first.report["task"]:
            raise RecipeError(
                f"{side.folder} is a run of the task {side.report['task']}, {first.folder} one of {first.report['task']}; "
                "compare runs of one task"
            )
    heads = [side.report["headline"] for side in sides]
    if len({head["split"] for head in heads}) > 1:
        told = ", ".join(f"{side.folder} on {head['split']}" for side, head in zip(sides, heads, strict=True))
        raise RecipeError(f"the runs were measured on different splits ({told}); give all of them the same test")
    split = str(heads[0]["split"])
    if wanted is None and len({head["metric"] for head in heads}) > 1:
        told = ", ".join(f"{side.folder} by {head['metric']}" for side, head in zip(sides, heads, strict=True))
        raise RecipeError(f"the runs were decided by different metrics ({told}); name one that all have with --metric")
    metric = wanted or str(heads[0]["metric"])
    for side in sides:
        if metric not in side.report["metrics"].get(split, {}):
            known = ", ".join(name for name in side.report["metrics"].get(split, {}) if "[" not in name)
            raise RecipeError(f"{side.folder} has no figure {metric!r} on {split}; it has {known}")
    greater = next((bool(head["greater_is_better"]) for head in heads if head["metric"] == metric), True)
    return split, metric, greater


def _same_rows(sides: Sequence[_Side], split: str) -> int:
    """How many rows all runs were measured on. Raises DataError where they are not the same ones."""
    digests = {}
    for side in sides:
        measured = side.report.get("measured", {}).get(split)
        if measured is None:
            raise DataError(
                f"{side.folder} does not say which rows it was measured on (hft {side.report.get('hft')}); run its recipe again"
            )
        digests[side.folder] = measured
    (first, own), *others = digests.items()
    for folder, measured in others:
        if measured["digest"] != own["digest"]:
            raise DataError(
                f"{folder} was measured on other rows of {split} ({measured['rows']}) than {first} ({own['rows']}), or their "
                "labels differ; figures on different rows cannot be compared"
            )
    return int(own["rows"])


def _described(side: _Side) -> dict[str, Any]:
    report = side.report
    return {
        "folder": str(side.folder),
        "name": report["name"],
        "created": report["created"],
        "hft": report["hft"],
        "model": report["model"],
        "seeds": report["seeds"],
        "metrics": report["metrics"],
        "cost": report.get("cost"),
        "calibration": (report.get("scores") or {}).get("calibration", {}).get("ece"),
    }


def _differences(sides: Sequence[_Side], split: str, metric: str, greater: bool) -> list[dict[str, Any]]:
    """The later run's figure less the earlier one's, of each pair, with one correction for all."""
    found: list[dict[str, Any]] = []
    values: list[list[Values] | str] = []
    for side in sides:
        try:
            values.append(_values(side, split, metric))
        except (HftError, OSError, ValueError, KeyError) as error:
            values.append(f"{side.folder}: {error}")
    for one, two in combinations(range(len(sides)), 2):
        entry: dict[str, Any] = {"run": two, "against": one}
        first, second = values[one], values[two]
        if isinstance(first, str) or isinstance(second, str):
            entry["why"] = first if isinstance(first, str) else second
        else:
            seeds = min(len(first), len(second))
            result = compare_crossed(
                np.stack(first[:seeds]), np.stack(second[:seeds]), sides[0].report["measured"][split]["rows"]
            )
            sign = 1 if greater else -1
            low, high = sorted((sign * result.low, sign * result.high))
            entry |= {
                "difference": sign * result.difference,
                "low": low,
                "high": high,
                "p": result.p_two_sided,
                "seeds": seeds,
            }
        found.append(entry)
    paired = [entry for entry in found if "p" in entry]
    for entry, adjusted in zip(paired, holm([entry["p"] for entry in paired]), strict=True):
        entry["adjusted"] = adjusted
    return found


def _values(side: _Side, split: str, metric: str) -> list[Values]:
    """Pseudo-values of each seed's rows. Raises RecipeError where the store has them no more."""
    for task, title in _names(side, metric):
        measured = [(folder, own) for folder, own in side.evaluations if own["task"][0] == task]
        places = [
            [place for place, identity in enumerate(own["metrics"]) if identity["name"] == title] for _, own in measured
        ]
        if len(measured) == len(side.report["seeds"]) and all(places):
            component = _metric(side, measured[0][1]["metrics"][places[0][0]])
            return [
                pseudo_values(component, np.load(folder / f"{split}.{place}.npy"), read_json(folder / "facts.json"))
                for (folder, _), (place, *_) in zip(measured, places, strict=True)
            ]
    raise RecipeError("its store no longer has what each row came to")


def _names(side: _Side, metric: str) -> Iterator[tuple[str, str]]:
    """The task and the metric that a figure's title may mean."""
    for task in dict.fromkeys(own["task"][0] for _, own in side.evaluations):
        yield task, metric.removeprefix(f"{task}.")


def _metric(side: _Side, identity: Mapping[str, Any]) -> Metric:
    registry = registry_for(side.note["recipe"], folder=Path(side.note["folder"]))
    known = registry.classes(Metric.kind)
    if identity["type"] not in known:
        raise RecipeError(f"the metric {identity['type']!r} is not installed here")
    made = known[identity["type"]].model_validate(dict(identity))
    assert isinstance(made, Metric)
    return made


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
