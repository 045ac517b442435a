"""Augmenter that inserts punctuation marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from hft_core import Augmenter, Edit, RowRandom, Spans
from hft_plugins.augmenters.protected import gaps, pieces
from hft_plugins.augmenters.words import chosen, draws, is_free, is_unspaced

_WIDE = str.maketrans(".;?:!,", "。；？：！，")


class Punctuation(Augmenter):
    """Inserts punctuation marks between words; all words stay in their order (AEDA: Karimi, Rossi and Prati 2021).

    None behind a negation, a degree word or a number, nor within one.
    """

    type: Literal["punctuation"]
    rate: float = Field(default=0.33, gt=0, le=1)
    """Most marks per word; their number is drawn between 1 and that."""
    marks: str = Field(default=".;?:!,", min_length=1)
    """The marks; before a Chinese or Japanese character those of ASCII become full-width ones."""

    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give one edit a mark."""
        places = [
            [start for start in gaps(pieces(text)) if is_free(start, start, own)]
            for text, own in zip(texts, spans, strict=True)
        ]
        most = [min(len(own), max(1, int(self.rate * len(own)))) for own in places]
        result: list[list[Edit]] = []
        for text, own, limit, numbers in zip(
            texts, places, most, draws(random, [2 * limit + 1 for limit in most]), strict=True
        ):
            count = min(limit, 1 + int(numbers[0] * limit))
            taken = chosen(len(own), numbers[1 : 1 + count])
            marks = [self.marks[int(number * len(self.marks))] for number in numbers[1 + limit : 1 + limit + count]]
            result.append(sorted(_mark(text, own[index], mark) for index, mark in zip(taken, marks, strict=True)))
        return result


def _mark(text: str, place: int, mark: str) -> Edit:
    return Edit(place, place, mark.translate(_WIDE) if is_unspaced(text[place]) else mark + " ")
