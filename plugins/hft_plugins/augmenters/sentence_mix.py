"""Augmenter that combines sentences of several rows."""

from __future__ import annotations

from typing import Literal

from hft_core import Edit, Editor, LearningAugmenter, RowRandom, Spans, TextBatch, Training
from hft_plugins.augmenters.words import is_free, is_unspaced, sentences

_MOST = 10_000
"""Sentences that are kept per label."""


class SentenceMix(LearningAugmenter):
    """Inserts a sentence out of another training row with the same label, between two sentences or at an end.

    For tasks with one text and one label a row; nothing is made for others. Sentences with relation markers (`<< >>`,
    `[[ ]]`) go into no other text.
    """

    type: Literal["sentence-mix"]

    def editor(self, training: Training) -> Editor:
        """Gather the sentences of each label."""
        label = training.label
        if label is None or len(training.roles.text) != 1:
            return lambda batch, random: [[] for _ in batch.texts]
        pools: dict[str, list[str]] = {}
        for columns in training.rows():
            for value, text in zip(columns[label], columns[training.roles.text[0]], strict=True):
                pool = pools.setdefault(str(value), [])
                if len(pool) < _MOST:
                    pool += [own for start, end in sentences(text) if _may_move(own := text[start:end].strip())]

        def edits(batch: TextBatch, random: RowRandom) -> list[list[Edit]]:
            draws = random.uniform(2).tolist()
            return [
                _insertion(text, own, pools.get(str(value), []), numbers)
                for text, own, value, numbers in zip(batch.texts, batch.spans, batch.columns[label], draws, strict=True)
            ]

        return edits


def _may_move(sentence: str) -> bool:
    """Whether a sentence says something in another text, too."""
    return bool(sentence) and not any(mark in sentence for mark in ("<<", ">>", "[[", "]]"))


def _insertion(text: str, spans: Spans, pool: list[str], numbers: list[float]) -> list[Edit]:
    other = pool and pool[int(numbers[1] * len(pool))]
    places = [0, *(end for _, end in sentences(text))]
    places = [place for place in places if is_free(place, place, spans)]
    if not other or other in text or not places:
        return []
    place = places[int(numbers[0] * len(places))]
    gap = "" if is_unspaced(other[0]) else " "
    before = gap if place and not text[place - 1].isspace() else ""
    return [Edit(place, place, before + other + (gap if place < len(text) else ""))]
