"""Augmenter: edits that make variants of training texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from hft_core.components.base import Component
from hft_core.runtime.edits import Edit
from hft_core.runtime.randomness import RowRandom

Spans = Sequence[tuple[int, int]]
"""Protected stretches of one text: (start, end) in characters. An edit that touches one is refused."""


class Augmenter(Component):
    """Base of augmenters. The engine applies the edits, and shifts tags and offsets accordingly."""

    kind: ClassVar[str] = "augmenter"

    copies: int = Field(default=1, ge=1, le=100)
    """How many variants are made of each training row; epoch e trains on variant e mod (copies + 1), 0 being the original."""

    @abstractmethod
    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give the edits of each text, as a function of the text, its spans and its row's random numbers only.

        Args:
            texts: one text per row.
            spans: protected stretches of each text.
            random: draws per row; row i's are independent of the other rows in the batch.
        """
