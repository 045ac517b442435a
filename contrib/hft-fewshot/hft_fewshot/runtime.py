"""What the tasks do at predict time: plain functions of settings, facts and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, list[Any]]


def encode(settings: Mapping[str, Any], columns: Columns, preprocessor: Any, facts: Any) -> dict[str, Any]:
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
    logits = np.asarray(outputs["logits"], np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    odds /= odds.sum(axis=1, keepdims=True)
    labels = facts["labels"]
    return [
        {"label": labels[index], "score": row[index], "scores": dict(zip(labels, row, strict=True))}
        for index, row in zip(logits.argmax(axis=1).tolist(), odds.tolist(), strict=True)
    ]
