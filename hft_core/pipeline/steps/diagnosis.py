"""What a diagnosis needs to know of a task beside the curves: fit to the training rows, doubted labels, cut texts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.components import Columns, Metric, Prediction
from hft_core.data.survey import joined_texts
from hft_core.evidence.baselines import tfidf
from hft_core.evidence.label_noise import out_of_fold, surest
from hft_core.pipeline.steps.common import (
    Folders,
    Process,
    TaskPlace,
    TaskRows,
    build_net,
    load_preprocessor,
    read_json,
    write_json,
)
from hft_core.recipe.model import Recipe
from hft_core.runtime.ragged import Ragged
from hft_core.runtime.randomness import generator

SIGNS = "signs.json"
_FITTED = 500
"""Training rows at most that are predicted to see how well they are fitted."""
_READ = 2_000
"""Training rows at most of which tokens are counted and labels doubted."""
_UNCUT = 1_000_000
"""Tokens that no text has."""


def diagnosis_step(
    recipe: Recipe, place: TaskPlace, metric: Metric, seeds: Sequence[tuple[str, str]],
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Look at a task's rows with the finished models, one per seed, and with a linear one: signs.json.

    `seeds` are the nodes of each one's last stage and of its evaluation, which has tuned the facts.
    """
    rows = TaskRows.open(recipe, place, inputs)
    train = rows.rows("train")
    some, held = _some(train, _READ), _some(rows.rows("validation"), _READ)
    signs: dict[str, Any] = {
        "tokens": _tokens(rows, inputs["preprocessor"], some),
        "seeds": [
            _seen_by(recipe, rows, metric, inputs, stage, evaluation, _some(train, _FITTED), held)
            for stage, evaluation in seeds
        ],
        "doubts": _doubts(rows, some, held) if rows.task.target_form == "label" and rows.roles.text else None,
    }
    write_json(out / SIGNS, signs)


def _seen_by(
    recipe: Recipe, rows: TaskRows, metric: Metric, inputs: Folders, stage: str, evaluation: str,
    train: Columns, held: Columns,
) -> dict[str, Any]:  # fmt: skip
    """The metric on rows that a model was trained on, and how sure it is of validation rows that it takes for others.

    Nothing where predictions are written piece by piece, which is dear.
    """
    from hft_core.training.inference import infer

    if rows.task.autoregressive:
        return {"fitted": None, "sure": None}
    preprocessor, facts = load_preprocessor(inputs["preprocessor"]), read_json(inputs[evaluation] / "facts.json")
    net = build_net(recipe, inputs[stage] / "model", preprocessor, {rows.name: rows.task.head(facts)})
    found = infer(net, rows.name, rows.task, train, preprocessor, facts).predictions
    fitted = _figure(metric, found, rows.task.truths(train, facts), facts)
    if rows.task.target_form != "label" or not held or "scores" not in found[0]:
        return {"fitted": fitted, "sure": None}
    found = infer(net, rows.name, rows.task, held, preprocessor, facts).predictions
    truths = rows.task.truths(held, facts)
    scores = np.array([max(one["scores"].values()) for one in found])
    wrong = np.array([one["label"] != truth["label"] for one, truth in zip(found, truths, strict=True)])
    return {"fitted": fitted, "sure": surest(scores, wrong)}


def _figure(metric: Metric, found: Sequence[Prediction], truths: Sequence[Prediction], facts: Any) -> float | None:
    if not found or not metric.needs <= found[0].keys():
        return None
    return float(metric.measure(found, truths, facts)[metric.title])


def _tokens(rows: TaskRows, folder: Path, columns: Columns) -> dict[str, Any] | None:
    """Count the tokens that the longest input allows and those that the texts have; None where there are no tokens."""
    note = read_json(folder / "preprocessor.json")
    limit = note["settings"].get("max_length")
    if not isinstance(limit, int):
        return None
    uncut = import_module(note["module"]).load(folder, note["settings"] | {"max_length": _UNCUT})
    read, whole = (
        rows.task.encode(columns, preprocessor, rows.facts).get("input_ids")
        for preprocessor in (load_preprocessor(folder), uncut)
    )
    if not isinstance(read, Ragged) or not isinstance(whole, Ragged):
        return None
    lengths = whole.lengths
    return {
        "limit": limit,
        "rows": len(lengths),
        # A task that reads long texts in windows repeats what they share, and loses nothing.
        "lost": max(0.0, 1 - float(read.lengths.sum()) / max(1, int(lengths.sum()))),
        "cut": float((lengths > limit).mean()),
        "lengths": {"median": float(np.median(lengths)), "p95": float(np.percentile(lengths, 95))},
    }


def _doubts(rows: TaskRows, train: Columns, held: Columns) -> dict[str, Any]:
    """What linear models on TF-IDF say about the labels of rows that they have not seen, of train and of validation."""
    truths = rows.task.truths(train, rows.facts)
    texts, more = (joined_texts(columns, rows.roles) if columns else [] for columns in (train, held))
    classes, given = np.unique(np.array([truth["label"] for truth in truths], dtype=str), return_inverse=True)
    probabilities = out_of_fold(texts, given, len(classes))
    told = probabilities.argmax(axis=1)
    shares = [np.bincount(numbers, minlength=len(classes)) / len(given) for numbers in (given, told)]
    found = tfidf("label", texts, truths, rows.facts)(more)
    true = rows.task.truths(held, rows.facts) if held else []
    right = [one["label"] == truth["label"] for one, truth in zip(found, true, strict=True)]
    return surest(probabilities.max(axis=1), told != given) | {
        "chance": float(shares[0] @ shares[1]),
        "validation": {"rows": len(right), "right": sum(right)},
    }


def _some(columns: Columns, most: int) -> Columns:
    """Rows at random, always the same ones of as many."""
    count = len(next(iter(columns.values()), []))
    chosen = np.sort(generator("diagnosis", count).permutation(count)[:most]).tolist()
    return {name: [values[index] for index in chosen] for name, values in columns.items()}
