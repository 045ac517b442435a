"""The deciding figure on parts of the rows that it was measured on: by length, by language, by columns that the recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.data.languages import detect_languages
from hft_core.data.prepared import Prepared
from hft_core.data.survey import joined_texts
from hft_core.data.table import ROW, read_all
from hft_core.errors import PluginError
from hft_core.evidence.slices import Names, by_length, by_value, compared_slices
from hft_core.pipeline.plan import Plan
from hft_core.pipeline.steps.common import read_json
from hft_core.pipeline.steps.slices import read_slices
from hft_core.recipe.metrics import Best, best_metric, task_metrics
from hft_core.recipe.model import Recipe

_LANGUAGE_ROWS = 1_000
_SURE = 0.9
"""Probability of a language from which it is counted."""


def slices(recipe: Recipe, plan: Plan, folders: Mapping[str, Path], split: str, shipped: int) -> list[dict[str, Any]]:
    """Slices of the task that decides, measured with the model that ships; see `compared_slices`."""
    best = best_metric(recipe, plan.metrics)
    if best is None or not plan.tasks[best.task].evaluations:
        return []
    task = plan.tasks[best.task]
    position = task_metrics(recipe.all_tasks[best.task], plan.metrics).index(best.metric)
    measured = folders[task.evaluations[shipped].name]
    file = measured / f"{split}.{position}.npy"
    if split not in task.splits or not file.is_file():
        return []
    prepared = Prepared.load(folders[task.splits[split].name])
    columns = read_all(prepared.file(split))
    texts = joined_texts(columns, prepared.roles)
    dimensions: dict[str, Names] = {"length": by_length(texts)}
    if languages := _languages(texts):
        dimensions["language"] = languages
    texts_are = (*prepared.roles.text, *prepared.roles.target_texts)  # their values are no groups of rows
    if plan.sliced:
        values = read_slices(folders[plan.sliced.name], columns[ROW])
        dimensions |= {name: by_value(of_rows) for name, of_rows in values.items() if name not in texts_are}
    statistics = np.load(file)
    if len(statistics) != len(texts):
        return []  # a metric of a plugin that does not go by rows
    found = compared_slices(best.metric, statistics, read_json(measured / "facts.json"), dimensions, recipe.seed)
    return sorted(found, key=lambda one: (list(dimensions).index(one["by"]), _shortest(one)))


def _shortest(one: Mapping[str, Any]) -> int:
    """Where a slice of lengths begins, so that they stand in their order; others keep theirs."""
    return int(one["value"].partition(" ")[0].replace(",", "")) if one["by"] == "length" else 0


def weak(slices: Sequence[Mapping[str, Any]], best: Best | None) -> list[str]:
    """A warning for each slice that is worse than the rest, beyond chance."""
    if best is None:
        return []
    sign = 1 if best.metric.greater_is_better else -1
    return [
        f"{best.title} is {one['figure']['value']:.3f} on {one['rows']} rows with {one['by']} {one['value']!r}, and "
        f"{one['rest']:.3f} on the others"
        for one in slices
        if one["apart"] and sign * (one["figure"]["value"] - one["rest"]) < 0
    ]


def _languages(texts: Sequence[str]) -> Names:
    """The language of some rows, evenly spaced; nothing where py3langid is not installed."""
    names: list[str | None] = [None] * len(texts)
    chosen = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), _LANGUAGE_ROWS)).astype(np.int64)).tolist()
    try:
        for row, (language, sure) in zip(chosen, detect_languages(texts[row][:500] for row in chosen), strict=True):
            names[row] = language if sure >= _SURE else "uncertain"
    except PluginError:
        return []
    return names
