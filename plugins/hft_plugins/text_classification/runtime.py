"""What text classification does at predict time: plain functions of settings, facts and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREDICT_PY = True
"""Exporters may add a plain script: `decode` is no more than softmax over the labels, for one text a row."""


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the model inputs of each text, and `row`."""
    texts = columns[settings["text"]]
    return {**preprocessor.encode(texts), "row": np.arange(len(texts), dtype=np.int64)}


def decode(
    settings: Mapping[str, Any],
    columns: Any,
    arrays: Any,
    outputs: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Give label, its probability, and the probabilities of all labels, from logits float [rows, labels]."""
    labels = facts["labels"]
    logits = np.asarray(outputs["logits"], np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    best = logits.argmax(axis=1)
    return [
        {"label": labels[index], "score": row[index], "scores": dict(zip(labels, row, strict=True))}
        for index, row in zip(best.tolist(), probabilities.tolist(), strict=True)
    ]
