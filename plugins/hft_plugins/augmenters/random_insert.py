"""Augmenter that inserts synonyms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from hft_core import Edit, Editor, LearningAugmenter, RowRandom, Spans, TextBatch, Training
from hft_plugins.augmenters.lookup import Lookup
from hft_plugins.augmenters.protected import PROTECTED, gaps
from hft_plugins.augmenters.table import ENGLISH, Table, load
from hft_plugins.augmenters.words import draws, is_free, is_unspaced, pick, segmented, share


class RandomInsert(LearningAugmenter):
    """Inserts synonyms of a text's own words at random places (the random insertion of EDA, Wei and Zou 2019).

    Not behind a negation, a degree word or a number, which would be said of another word then.
    """

    type: Literal["random-insert"]
    rate: float = Field(default=0.1, gt=0, le=1)
    """Inserted words per word of the text: at least one."""
    table: Path | None = None
    """The synonyms, as in `synonyms`."""

    def editor(self, training: Training) -> Editor:
        """Read the table."""
        lookup = Lookup(load(self.table or ENGLISH, PROTECTED), PROTECTED)
        return lambda batch, random: self._inserted(lookup, batch, random)

    def _inserted(self, lookup: Lookup, batch: TextBatch, random: RowRandom) -> list[list[Edit]]:
        """Give one edit an inserted word; none for a text of which no word is in the table."""
        found = lookup.find(batch.texts, batch.spans)
        each = found.per_text()
        places = list(zip(found.starts.tolist(), found.ends.tolist(), strict=True))
        candidates = [places[begin:end] for begin, end in pairwise([0, *np.cumsum(each).tolist()])]
        counts = [share(self.rate, count) if own else 0 for count, own in zip(found.counts.tolist(), each, strict=True)]
        numbers = draws(random, [2 * count for count in counts])
        return [
            _insertions(text, spans, own, drawn, lookup.table)
            for text, spans, own, drawn in zip(batch.texts, batch.spans, candidates, numbers, strict=True)
        ]


def _insertions(
    text: str, spans: Spans, candidates: Sequence[tuple[int, int]], numbers: Sequence[float], table: Table
) -> list[Edit]:
    found = segmented(text, table.entries, PROTECTED, table.lengths) if numbers else []
    places = [place for place in gaps(found) if is_free(place, place, spans)]
    edits: dict[int, Edit] = {}
    for first, second in zip(numbers[::2], numbers[1::2], strict=True) if places else ():
        place = places[int(first * len(places))]
        start, end = candidates[int(second * len(candidates))]
        synonyms = table.entries[text[start:end].lower()].synonyms
        word = synonyms[pick(second, len(synonyms))]
        edits[place] = Edit(place, place, word if is_unspaced(text[place]) else word + " ")
    return sorted(edits.values())
