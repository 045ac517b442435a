"""Augmenter that puts other entities of the same type in place of a text's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from hft_core import Edit, Editor, LearningAugmenter, RowRandom, TextBatch, Training
from hft_core.runtime.edits import touches
from hft_plugins.augmenters.words import chosen, draws, share


class EntitySwap(LearningAugmenter):
    """Replaces entities by others of the same type out of the training rows; their spans move along.

    For tasks whose spans have a type, such as token-classification; nothing is made for others.
    """

    type: Literal["entity-swap"]
    replaces_spans: ClassVar[bool] = True
    rate: float = Field(default=0.5, gt=0, le=1)
    """Share of a text's entities that are replaced: at least one."""

    def editor(self, training: Training) -> Editor:
        """Gather the entities of each type."""
        pools: dict[str, dict[str, None]] = {}
        text, columns = training.roles.text[0], training.roles.protected
        for batch in training.rows():
            for own, *found in zip(batch[text], *(batch[name] for name in columns), strict=True):
                for start, end, kind in _typed(found):
                    pools.setdefault(kind, {})[own[start:end]] = None
        others = {kind: list(entities) for kind, entities in pools.items() if len(entities) > 1}

        def edits(batch: TextBatch, random: RowRandom) -> list[list[Edit]]:
            if not batch.first:
                return [[] for _ in batch.texts]
            rows = [
                [span for span in _alone(_typed(found)) if span[2] in others]
                for found in zip(*(batch.columns[name] for name in columns), strict=True)
            ] or [[] for _ in batch.texts]
            counts = [min(len(row), share(self.rate, len(row))) for row in rows]
            return [
                _swapped(own, row, count, numbers, others)
                for own, row, count, numbers in zip(
                    batch.texts, rows, counts, draws(random, [2 * count for count in counts]), strict=True
                )
            ]

        return edits


def _swapped(
    text: str, spans: list[tuple[int, int, str]], count: int, numbers: list[float], others: Mapping[str, list[str]]
) -> list[Edit]:
    edits: list[Edit] = []
    for index, number in zip(chosen(len(spans), numbers[:count]), numbers[count : 2 * count], strict=True):
        start, end, kind = spans[index]
        pool = others[kind]
        entity = pool[int(number * len(pool))]
        if entity == text[start:end]:
            entity = pool[(int(number * len(pool)) + 1) % len(pool)]
        edits.append(Edit(start, end, entity))
    return sorted(edits)


def _typed(columns: Any) -> list[tuple[int, int, str]]:
    """The spans of a row's columns that have a type."""
    found: list[tuple[int, int, str]] = []
    for spans in columns:
        for span in spans:
            if isinstance(span, Mapping):
                if span.get("type"):
                    found.append((span["start"], span["end"], str(span["type"])))
            elif len(span) > 2:
                found.append((span[0], span[1], str(span[2])))
    return found


def _alone(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Those that no other span touches."""
    return [
        span
        for at, span in enumerate(spans)
        if span[0] < span[1]
        and not any(touches(Edit(*span[:2], ""), other[:2]) for no, other in enumerate(spans) if no != at)
    ]
