"""What sentence embeddings do at predict time: plain functions of settings and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

Columns = Mapping[str, list[Any]]


def encode(settings: Mapping[str, Any], columns: Columns, preprocessor: Any, facts: Any) -> dict[str, Any]:
    """Give the model inputs of each different text of both columns, once, and `row`, the first one that has it.

    The second column may be missing: then there is nothing but vectors to tell.
    """
    sides = _sides(settings, columns)
    rows = range(len(sides[0]))
    first: dict[str, int] = {}
    for text, row in chain.from_iterable(zip(side, rows, strict=True) for side in sides):
        first.setdefault(text, row)
    return {**preprocessor.encode(list(first)), "row": np.fromiter(first.values(), np.int64, len(first))}


def decode(
    settings: Mapping[str, Any], columns: Columns, arrays: Any, outputs: Mapping[str, Any], facts: Any
) -> list[dict[str, Any]]:
    """Give the `vector` of each text and, where the row has a second one, that text's vector and the cosine as `score`."""
    sides = _sides(settings, columns)
    vectors = np.asarray(outputs["embedding"], np.float32)
    place = {text: index for index, text in enumerate(dict.fromkeys(chain.from_iterable(sides)))}
    found = [vectors[[place[text] for text in side]] for side in sides]
    if len(found) == 1:
        return [{"vector": vector} for vector in found[0].tolist()]
    one, two = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in found)
    scores = np.einsum("ij,ij->i", one.astype(np.float64), two.astype(np.float64))
    return [
        {"vector": vector, settings["pair_vector"]: other, "score": score}
        for vector, other, score in zip(found[0].tolist(), found[1].tolist(), scores.tolist(), strict=True)
    ]


def _sides(settings: Mapping[str, Any], columns: Columns) -> list[list[str]]:
    """The texts of the first column and, if it is there, of the second."""
    return [columns[name] for name in (settings["text"], settings["pair"]) if name in columns]
