"""Augmenter that swaps neighbouring words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field

from hft_core import Augmenter, Edit, RowRandom, Spans
from hft_plugins.augmenters.protected import pieces, stays
from hft_plugins.augmenters.words import chosen, draws, is_clitic, is_free, share


class RandomSwap(Augmenter):
    """Swaps neighbouring words (in Chinese: characters) with only whitespace between them.

    Unlike in the random swap of EDA (Wei and Zou 2019), no word leaves its clause, and negations, degree words and numbers stay
    where they are: moved, they would say something else. So do clitics ("it 's") and what they lean on.
    """

    type: Literal["random-swap"]
    rate: float = Field(default=0.1, gt=0, le=1)
    """Share of the words that move, two with each swap; at least one swap a text."""

    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give one edit a swap; none for a text without two different neighbours."""
        rows = [_swaps(text, protected) for text, protected in zip(texts, spans, strict=True)]
        # Twice as many are drawn as wanted: a swap next to a chosen one is passed over.
        wanted = [share(self.rate / 2, count) for count, _ in rows]
        tried = [min(2 * want, len(swaps)) for want, (_, swaps) in zip(wanted, rows, strict=True)]
        result: list[list[Edit]] = []
        for (_, swaps), want, tries, numbers in zip(rows, wanted, tried, draws(random, tried), strict=True):
            taken: list[Edit] = []
            for index in chosen(len(swaps), numbers[:tries]):
                edit = swaps[index]
                if len(taken) < want and all(edit.end <= other.start or other.end <= edit.start for other in taken):
                    taken.append(edit)
            result.append(sorted(taken))
        return result


def _swaps(text: str, spans: Spans) -> tuple[int, list[Edit]]:
    """Give the number of words and every swap of neighbours that is possible."""
    found = pieces(text)
    clitics = [*(is_clitic(word) for _, _, word in found), False]
    moves = [
        not (clitic or leaned_on or stays(word))
        for (_, _, word), clitic, leaned_on in zip(found, clitics, clitics[1:], strict=False)
    ]
    swaps: list[Edit] = []
    for at, ((start, middle, left), (after, end, right)) in enumerate(pairwise(found)):
        gap = text[middle:after]
        if (
            moves[at]
            and moves[at + 1]
            and left != right
            and not gap.strip()
            and (not spans or is_free(start, end, spans))
        ):
            swaps.append(Edit(start, end, text[after:end] + gap + text[start:middle]))
    return len(found), swaps
