"""What text pairs do at predict time: both texts of a row are entries of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the inputs of all anchors and then of all positives, and `row`."""
    anchors, positives = columns[settings["anchor"]], columns[settings["positive"]]
    rows = np.arange(len(anchors), dtype=np.int64)
    return {**preprocessor.encode([*anchors, *positives]), "row": np.concatenate([rows, rows])}


def decode(
    settings: Mapping[str, Any], columns: Any, arrays: Any, outputs: Mapping[str, Any], facts: Any
) -> list[dict[str, Any]]:
    """Give the cosine similarity of each pair as `score`, and both `vectors`, of length 1."""
    vectors = np.asarray(outputs["embedding"], np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    anchors, positives = np.split(vectors, 2)
    scores = (anchors * positives).sum(axis=1)
    return [
        {"score": score, "vectors": [anchor, positive]}
        for score, anchor, positive in zip(scores.tolist(), anchors.tolist(), positives.tolist(), strict=True)
    ]
