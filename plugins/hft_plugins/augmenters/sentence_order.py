"""Augmenter that swaps sentences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from hft_core import Augmenter, Edit, RowRandom, Spans
from hft_plugins.augmenters.words import is_free, sentences

_ENDS = (".", "!", "?", "。", "！", "？", "…")


class SentenceOrder(Augmenter):
    """Swaps two neighbouring sentences; a text of one sentence has no variant, and none with a protected span moves."""

    type: Literal["sentence-order"]

    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give one edit over both sentences."""
        numbers = random.uniform(1)[:, 0].tolist()
        result: list[list[Edit]] = []
        for text, own, number in zip(texts, spans, numbers, strict=True):
            swaps = _swaps(text, own)
            result.append([swaps[int(number * len(swaps))]] if swaps else [])
        return result


def _swaps(text: str, spans: Spans) -> list[Edit]:
    found: list[Edit] = []
    for (start, middle), (_, end) in pairwise(sentences(text)):
        first, second = text[start:middle].rstrip(), text[middle:end].rstrip()
        gap = text[start + len(first) : middle]
        end = middle + len(second)
        whole = first.rstrip("\"'”’)」』）").endswith(_ENDS) and second.rstrip("\"'”’)」』）").endswith(_ENDS)
        if whole and "\n" not in gap and first != second and is_free(start, end, spans):
            found.append(Edit(start, end, second + gap + first))
    return found
