"""What the task does at predict time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hft_image_text.pixels import opened


def refusal(settings: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    """Say why a row cannot be answered: its image is none."""
    found = opened(row[settings["image"]])
    return f"the column {settings['image']!r}: {found}" if isinstance(found, str) else None


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the model inputs of each text with its image, and `row`."""
    texts, images = columns[settings["text"]], columns[settings["image"]]
    return {**preprocessor.encode(texts, images), "row": np.arange(len(texts), dtype=np.int64)}


def decode(
    settings: Any, columns: Any, arrays: Any, outputs: Mapping[str, Any], facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Give label, its probability, and those of all labels, from logits float [rows, labels]."""
    labels = facts["labels"]
    logits = np.asarray(outputs["logits"], np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    shares = (odds / odds.sum(axis=1, keepdims=True)).tolist()
    best = logits.argmax(axis=1).tolist()
    return [
        {"label": labels[index], "score": row[index], "scores": dict(zip(labels, row, strict=True))}
        for index, row in zip(best, shares, strict=True)
    ]
