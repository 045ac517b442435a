"""What text classification does at predict time: plain functions of settings, facts and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREDICT_PY = True
"""Exporters may add a plain script: `decode` is no more than softmax of logits / temperature, for one text a row."""


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the model inputs of each text, or pair of texts, and `row`."""
    texts, pair = columns[settings["text"]], settings.get("pair")
    inputs = preprocessor.encode(texts) if pair is None else preprocessor.encode(texts, columns[pair])
    return {**inputs, "row": np.arange(len(texts), dtype=np.int64)}


def probabilities(outputs: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> NDArray[np.float64]:
    """Give the softmax of logits, [rows, labels] each, at the temperature that the facts have; 1 where they have none."""
    logits = np.asarray(outputs["logits"], np.float64) / facts.get("temperature", 1.0)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    result: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
    return result


def decode(
    settings: Mapping[str, Any],
    columns: Any,
    arrays: Any,
    outputs: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Give label, its probability, and the probabilities of all labels, from logits float [rows, labels].

    Where the facts have a `threshold`, the label `positive` is given from that probability on, and `margin` says how much
    of its probability would have to move for the other label.
    """
    labels = facts["labels"]
    odds = probabilities(outputs, facts)
    best = outputs["logits"].argmax(axis=1)
    margins: list[dict[str, float]] = [{}] * len(odds)
    if "threshold" in facts:
        positive = labels.index(facts["positive"])
        above = odds[:, positive] - facts["threshold"]
        best = np.where(above >= 0, positive, 1 - positive)
        margins = [{"margin": margin} for margin in np.abs(above).tolist()]
    return [
        {"label": labels[index], "score": row[index], "scores": dict(zip(labels, row, strict=True)), **margin}
        for index, row, margin in zip(best.tolist(), odds.tolist(), margins, strict=True)
    ]
