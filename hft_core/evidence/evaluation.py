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
        content["pairs"] = [
            [truth.get("label"), found.get("label")] for truth, found in zip(truths, predictions, strict=True)
        ]
    (folder / f"{split}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _errors(
    predictions: Sequence[Prediction], truths: Sequence[Prediction], texts: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows whose prediction differs from the target, the surest first."""
    wrong = [
        {
            "text": text[:500],
            "truth": str(truth["label"]),
            "predicted": str(found["label"]),
            "score": found.get("score"),
        }
        for found, truth, text in zip(predictions, truths, texts, strict=True)
        if "label" in truth and found.get("label") != truth["label"]
    ]
    return sorted(wrong, key=lambda row: -float(row["score"] or 0))[:_ERRORS]


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
