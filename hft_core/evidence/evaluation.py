"""Figures of one model on one split: measured once, kept with the statistics that intervals are made of."""

from __future__ import annotations

import json
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
) -> None:
    """Write `SPLIT.json` (figures, and with `texts` predictions and the surest errors) and each metric's statistics."""
    folder.mkdir(exist_ok=True)
    figures: dict[str, float] = {}
    for position, metric in enumerate(metrics):
        statistics = metric.rows(predictions, truths, facts)
        np.save(folder / f"{split}.{position}.npy", statistics)
        figures |= metric.figures(statistics, facts)
    content: dict[str, Any] = {"figures": figures, "rows": len(truths)}
    if texts is not None:
        content["errors"] = _errors(predictions, truths, texts)
        if all("label" in truth for truth in truths):
            content["pairs"] = [
                [truth["label"], found.get("label")] for truth, found in zip(truths, predictions, strict=True)
            ]
    (folder / f"{split}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _errors(
    predictions: Sequence[Prediction], truths: Sequence[Prediction], texts: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows whose prediction differs from the target in what the target says, the surest first."""
    wrong = []
    for found, truth, text in zip(predictions, truths, texts, strict=True):
        told = _as_far_as(found, truth)
        if told != truth:
            row = {
                "text": text[:500],
                "truth": _brief(truth, text),
                "predicted": _brief(told, text),
                "score": found.get("score"),
            }
            wrong.append(row)
    return sorted(wrong, key=lambda row: -float(row["score"] or 0))[:_ERRORS]


def _as_far_as(found: Any, truth: Any) -> Any:
    """A prediction without what the target says nothing of: scores, runners-up, copies of the text."""
    if isinstance(found, Mapping) and isinstance(truth, Mapping):
        return {key: _as_far_as(found.get(key), value) for key, value in truth.items()}
    if isinstance(found, list) and isinstance(truth, list):
        return [_as_far_as(item, truth[0] if truth else None) for item in found]
    return found


def _brief(value: Mapping[str, Any], text: str) -> str:
    """A prediction in one line: its value where it has one only, and stretches of the text as what stands there."""
    only = next(iter(value.values())) if len(value) == 1 else value
    if isinstance(only, list):
        return "; ".join(_stretch(item, text) for item in only)[:500] or "–"
    return (only if isinstance(only, str) else json.dumps(only, ensure_ascii=False))[:500]


def _stretch(item: Any, text: str) -> str:
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
        statistics = np.stack([np.load(folder / f"{split}.{position}.npy") for folder in folders])
        for name, (low, high) in bootstrap(metric, statistics, facts, seed).items():
            mean, sd = means[name]
            result[name] = {"value": mean, "low": low, "high": high}
            if len(folders) > 1:
                result[name] |= {"sd": sd, "shipped": measured[shipped][name]}
    return result


def best_of(folders: Sequence[Path], metric: Metric | None) -> int:
    """The seed whose validation figure is best; the first one among equals."""
    if metric is None or len(folders) == 1:
        return 0
    sign = 1 if metric.greater_is_better else -1
    scores = [
        sign * json.loads((folder / "validation.json").read_text("utf-8"))["figures"][metric.title]
        for folder in folders
    ]
    return scores.index(max(scores))
