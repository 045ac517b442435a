"""Figures of one model on one split: measured once, kept with the statistics that intervals are made of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.components import Facts, Metric, Prediction
from hft_core.evidence.intervals import bootstrap, over_seeds

_ERRORS = 30


def save(
    folder: Path,
    split: str,
    metrics: Sequence[Metric],
    predictions: Sequence[Prediction],
    truths: Sequence[Prediction],
    texts: Sequence[str] | None,
    facts: Facts,
    digest: str = "",
) -> None:
    """Write `SPLIT.json` (figures, and with `texts` predictions and the worst errors) and each metric's statistics.

    A metric that needs what these predictions do not have is left out. `digest` says which rows they are: figures of others
    are not compared with these.
    """
    folder.mkdir(exist_ok=True)
    figures: dict[str, float] = {}
    for position, metric in enumerate(metrics):
        if predictions and not metric.needs <= predictions[0].keys():
            continue
        statistics = metric.rows(predictions, truths, facts)
        np.save(folder / f"{split}.{position}.npy", statistics)
        figures |= metric.figures(statistics, facts)
    content: dict[str, Any] = {"figures": figures, "rows": len(truths), "digest": digest}
    if texts is not None:
        content["errors"] = _errors(predictions, truths, texts)
        for key, form in (("pairs", "label"), ("sets", "labels")):
            if all(form in truth for truth in truths):
                content[key] = [
                    [truth[form], found.get(form)] for truth, found in zip(truths, predictions, strict=True)
                ]
    (folder / f"{split}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _errors(
    predictions: Sequence[Prediction], truths: Sequence[Prediction], texts: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows whose prediction differs from the target in what both say: the surest first, numbers the farthest off."""
    wrong = []
    off: list[float] = []
    for found, truth, text in zip(predictions, truths, texts, strict=True):
        told = _as_far_as(found, truth)
        if told != truth and truth.keys() & found.keys():
            number = "score" in truth  # the target itself, not how sure it is
            row = {
                "text": _shortened(text),
                "truth": _brief(truth, text),
                "predicted": _brief(told, text),
                "score": None if number else found.get("score"),
            }
            wrong.append(row)
            off.append(abs(found["score"] - truth["score"]) if number else float(row["score"] or 0))
    order = sorted(range(len(wrong)), key=lambda index: -off[index])
    return [wrong[index] for index in order[:_ERRORS]]


def _as_far_as(found: Any, truth: Any) -> Any:
    """A prediction without what the target says nothing of: scores, runners-up, copies of the text.

    Where the target has a list and the prediction a single value, any value of the list is right.
    """
    if isinstance(found, Mapping) and isinstance(truth, Mapping):
        return {key: _as_far_as(found.get(key), value) for key, value in truth.items()}
    if isinstance(found, list) and isinstance(truth, list):
        return [_as_far_as(item, truth[0] if truth else None) for item in found]
    return truth if isinstance(truth, list) and found in truth else found


def _shortened(text: str) -> str:
    """The beginning and the end of a long text: of several columns, the last may be the shortest."""
    return text if len(text) <= 500 else f"{text[:300]} … {text[-200:]}"


def _brief(value: Mapping[str, Any], text: str) -> str:
    """A prediction in one line: its value where it has one only, and stretches of the text as what stands there."""
    only = next(iter(value.values())) if len(value) == 1 else value
    if isinstance(only, float):
        return f"{only:.6g}"
    if isinstance(only, list):
        return "; ".join(_stretch(item, text) for item in only)[:500] or "–"
    return (only if isinstance(only, str) else json.dumps(only, ensure_ascii=False))[:500]


def _stretch(item: Any, text: str) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, Mapping) or not {"start", "end"} <= item.keys():
        return json.dumps(item, ensure_ascii=False)
    return (
        f"{text[item['start'] : item['end']]} ({item['type']})" if "type" in item else text[item["start"] : item["end"]]
    )


def figures(
    folders: Sequence[Path], split: str, metrics: Sequence[Metric], facts: Facts, seed: int, shipped: int = 0
) -> dict[str, dict[str, float | None]]:
    """Figures with intervals, over rows (one folder) or rows and seeds (several); empty where the split is missing."""
    if not (folders[0] / f"{split}.json").is_file():
        return {}
    measured: list[Mapping[str, float]] = [
        json.loads((folder / f"{split}.json").read_text("utf-8"))["figures"] for folder in folders
    ]
    means = over_seeds(measured)
    result: dict[str, dict[str, float | None]] = {}
    for position, metric in enumerate(metrics):
        files = [folder / f"{split}.{position}.npy" for folder in folders]
        if not all(file.is_file() for file in files):
            continue  # see `save`
        statistics = np.stack([np.load(file) for file in files])
        for name, (low, high) in bootstrap(metric, statistics, facts, seed).items():
            mean, sd = means[name]
            result[name] = {"value": mean, "low": low, "high": high}
            if len(folders) > 1:
                result[name] |= {"sd": sd, "shipped": measured[shipped][name]}
    return result


def best_of(folders: Sequence[Path], metric: Metric | None) -> int:
    """The seed whose validation figure is best; the first one among equals. What is no number is worse than any."""
    if metric is None or len(folders) == 1:
        return 0
    sign = 1 if metric.greater_is_better else -1
    figures = [
        json.loads((folder / "validation.json").read_text("utf-8"))["figures"][metric.title] for folder in folders
    ]
    scores = [sign * figure if math.isfinite(figure) else -math.inf for figure in figures]
    return scores.index(max(scores))
