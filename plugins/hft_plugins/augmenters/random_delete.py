"""Augmenter that deletes words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from hft_core import Augmenter, Edit, RowRandom, Spans
from hft_plugins.augmenters.protected import pieces, stays
from hft_plugins.augmenters.words import chosen, draws, is_clitic, is_free, share


class RandomDelete(Augmenter):
    """Deletes words (in Chinese: characters) with the space before them.

    Negations, degree words, numbers and what stands right behind their digits stay, and so do clitics ("it 's"), what they lean
    on, and punctuation.
    """

    type: Literal["random-delete"]
    rate: float = Field(default=0.1, gt=0, le=1)
    """Share of the words that go: at least one, and never the last one."""

    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give one edit a deleted word; none for a text of one word."""
        rows = [_deletable(text, protected) for text, protected in zip(texts, spans, strict=True)]
        counts = [min(share(self.rate, count), count - 1, len(places)) if count else 0 for count, places in rows]
        return [
            _deletions(text, sorted(places[index] for index in chosen(len(places), numbers[:count])), protected)
            for text, protected, (_, places), count, numbers in zip(
                texts, spans, rows, counts, draws(random, counts), strict=True
            )
        ]


def _deletable(text: str, spans: Spans) -> tuple[int, list[tuple[int, int]]]:
    """Give the number of words, and those that may go as (start of the space before, end)."""
    found = pieces(text)
    places: list[tuple[int, int]] = []
    before = 0
    for at, (start, end, word) in enumerate(found):
        counted = start > 0 and text[start - 1].isdigit()  # a unit: without it, two numbers could become one
        leaned_on = at + 1 < len(found) and is_clitic(found[at + 1][2])
        gap = text[before:start]
        start -= len(gap) - len(gap.rstrip())
        before = end
        if not (counted or leaned_on or stays(word) or is_clitic(word)) and (not spans or is_free(start, end, spans)):
            places.append((start, end))
    return len(found), places


def _deletions(text: str, places: list[tuple[int, int]], spans: Spans) -> list[Edit]:
    """Give the edits; where the text's beginning goes, the space behind what goes does too."""
    edits = [Edit(start, end, "") for start, end in places]
    leading = 0
    while leading < len(edits) and edits[leading].start == (edits[leading - 1].end if leading else 0):
        leading += 1
    if leading:
        start, end, _ = edits[leading - 1]
        behind = len(text) - len(text[end:].lstrip())
        if is_free(start, behind, spans):
            edits[leading - 1] = Edit(start, behind, "")
    return edits
