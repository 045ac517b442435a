"""Content cleaning at predict time, with the way back: offsets of a prediction refer to the text that the user gave.

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from hft_core.runtime.edits import OffsetMap, apply

Step = tuple[ModuleType, dict[str, Any]]
"""A text cleaner: its runtime module, with ``edits(settings, texts)``, and its settings."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Trail:
    """How one text became what the model reads."""

    def __init__(self, original: str):
        self.original = original
        self._maps: list[OffsetMap] = []

    def add(self, step: OffsetMap) -> None:
        """Append one cleaner's work."""
        self._maps.append(step)

    def back(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of the cleaned text to the original; it is widened to whole edits."""
        for step in reversed(self._maps):
            start, end = step.back(start, end)
        return start, end


def clean(texts: Sequence[str], steps: Sequence[Step]) -> tuple[list[str], list[Trail]]:
    """Run the cleaners in order; give the cleaned texts and the trail of each.

    Lone surrogates, which no tokenizer takes, become U+FFFD first; that shifts no offset.
    """
    trails = [Trail(text) for text in texts]
    current = [_LONE_SURROGATE.sub("\ufffd", text) for text in texts]
    for module, settings in steps:
        for row, edits in enumerate(module.edits(settings, current)):
            if edits:
                trails[row].add(OffsetMap(current[row], edits))
                current[row] = apply(current[row], edits)
    return current, trails


def clean_columns(
    columns: dict[str, list[Any]], texts: Sequence[str], steps: Sequence[Step]
) -> tuple[dict[str, list[Any]], list[Trail]]:
    """Clean the columns `texts`; the trails are those of the first, which offsets refer to. Others pass unchanged."""
    cleaned = dict(columns)
    trails: list[Trail] = []
    for position, name in enumerate(texts):
        cleaned[name], made = clean(columns[name], steps)
        if position == 0:
            trails = made
    return cleaned, trails


def restored(prediction: Any, trail: Trail) -> Any:
    """Give the prediction with every `start` and `end` in it mapped back to the original text.

    A `text` or `answer` beside them that was the stretch itself becomes the original's stretch. Works at
    any depth (entities, n_best); a part without offsets, or with nulls (no answer), is unchanged.
    """
    if isinstance(prediction, list):
        return [restored(part, trail) for part in prediction]
    if not isinstance(prediction, dict):
        return prediction
    result = {key: restored(value, trail) for key, value in prediction.items()}
    if isinstance(result.get("start"), int) and isinstance(result.get("end"), int):
        result["start"], result["end"] = start, end = trail.back(result["start"], result["end"])
        for key in ("text", "answer"):
            if isinstance(result.get(key), str):
                result[key] = trail.original[start:end]
    return result
