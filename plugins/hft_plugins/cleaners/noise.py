"""Filters of rows that are no language: repetitions and heaps of symbols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal
from unicodedata import category

from pydantic import Field

from hft_core import Columns, Roles, RowFilter, joined_texts


class RepetitionFilter(RowFilter):
    """Drops rows whose text repeats itself (reason `repetition`), as boilerplate and broken generators do.

    What is measured is the share of a text's characters that lie in stretches of `ngram` characters that came before in
    the same text. Characters, not words: it works for Chinese.
    """

    type: Literal["repetition"]
    maximum: float = Field(default=0.6, gt=0, lt=1)
    """Share of repeated characters from which on a row goes."""
    ngram: int = Field(default=8, ge=2)
    """Characters of a stretch; in an ordinary English text of 1,000 characters about a tenth repeats at 8."""
    minimum: int = Field(default=40, ge=1)
    """Characters of the shortest text that is judged: in a short one a repetition is emphasis."""

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Give a reason or None for each row, batch by batch."""
        for batch in batches:
            yield [
                "repetition" if len(text) >= self.minimum and self._share(text) > self.maximum else None
                for text in joined_texts(batch, roles)
            ]

    def _share(self, text: str) -> float:
        seen: set[str] = set()
        covered = repeated = 0  # up to where characters are counted, and how many of them repeat
        for start in range(len(text) - self.ngram + 1):
            stretch = text[start : start + self.ngram]
            if stretch in seen:
                end = start + self.ngram
                repeated += end - max(start, covered)
                covered = end
            else:
                seen.add(stretch)
        return repeated / len(text)


class SymbolFilter(RowFilter):
    """Drops rows with too many symbols (reason `symbols`): characters that are neither letters, marks, digits nor spaces."""

    type: Literal["symbols"]
    maximum: float = Field(default=0.5, gt=0, lt=1)
    """Share of symbols, of all characters but spaces, from which on a row goes."""
    minimum: int = Field(default=10, ge=1)
    """Characters, spaces apart, of the shortest text that is judged."""

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Give a reason or None for each row, batch by batch."""
        for batch in batches:
            texts = joined_texts(batch, roles)
            yield ["symbols" if self._too_many("".join(text.split())) else None for text in texts]

    def _too_many(self, text: str) -> bool:
        return len(text) >= self.minimum and symbols_of(text) > self.maximum * len(text)


def symbols_of(text: str) -> int:
    """Count the characters of a text without spaces that are neither letters, digits nor marks that belong to letters."""
    if text.isalnum():
        return 0
    return sum(not (character.isalnum() or category(character)[0] == "M") for character in text)
