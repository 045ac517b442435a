"""Offers the augmenter `shorthand` and the cleaner `elongation`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from hft_core import Augmenter, Cleaner, Edit, RowRandom, Spans, TextCleaner, hookimpl

SHORT = {"you": "u", "are": "r", "with": "w/", "without": "w/o", "because": "bc", "really": "rly", "please": "pls"}
WORD = re.compile(rf"\b(?:{'|'.join(SHORT)})\b", re.IGNORECASE)


class Shorthand(Augmenter):
    """Writes words as people type them in a hurry: `you` as `u`, `with` as `w/`."""

    type: Literal["shorthand"]
    rate: float = Field(default=0.5, gt=0, le=1)
    """Share of these words that change."""

    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give one edit per word that changes; the engine refuses those that touch a protected span."""
        found = [list(WORD.finditer(text)) for text in texts]
        draws = random.uniform(max(map(len, found), default=0))
        return [
            [Edit(*m.span(), SHORT[m[0].lower()]) for m, draw in zip(matches, row, strict=False) if draw < self.rate]
            for matches, row in zip(found, draws, strict=True)
        ]


class Elongation(TextCleaner):
    """Shortens a letter that stands three times or more to two: `sooooo` becomes `soo`."""

    type: Literal["elongation"]
    runtime: ClassVar[str] = "hft_shorthand.elongation"


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    """Offer the augmenter."""
    return [Shorthand]


@hookimpl
def register_cleaners() -> list[type[Cleaner]]:
    """Offer the cleaner."""
    return [Elongation]
