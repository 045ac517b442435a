"""Filter of rows whose text is nearly that of an earlier row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Columns, Roles, RowFilter, TextIndex, target_text
from hft_core.runtime.randomness import key_of
from hft_plugins.cleaners.rows import slices

_MOST_COLUMNS = 4
"""Text columns that are compared by their n-grams; further ones have to be equal."""


class NearDuplicates(RowFilter):
    """Drops rows whose text is nearly that of an earlier row that stays (reason `near-duplicate`).

    Texts are compared by their sets of character n-grams (Jaccard similarity): MinHash finds candidates, of pairs just
    at the threshold at least 99 %, and an exact comparison decides. Case, width, spaces and punctuation do not count;
    n-grams of Chinese, Japanese and Korean have half as many characters. Of several text columns each must be alike.
    """

    type: Literal["near-duplicates"]
    threshold: float = Field(default=0.85, ge=0.5, le=1)
    """Similarity from which two texts count as the same: shared n-grams by all their n-grams."""
    ngram: int = Field(default=5, ge=2, le=16)
    """Characters of an n-gram."""
    same_target: bool = True
    """Whether rows with different targets are never duplicates: a small difference may be what the label is about."""

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Read all rows (about 74 bytes each are kept, n-grams on disk), then give a reason or None for each."""
        index = TextIndex(self.threshold, self.ngram, columns=len(roles.text[:_MOST_COLUMNS]))
        sizes: list[int] = []
        for batch in batches:
            columns = [["" if value is None else str(value) for value in batch[name]] for name in roles.text]
            index.add(*columns[:_MOST_COLUMNS], groups=self._groups(batch, roles))
            sizes.append(len(columns[0]))
        found = index.pairs()
        dropped = _dropped(found.first, found.rows)
        for part in slices(sizes):
            yield ["near-duplicate" if drop else None for drop in dropped[part].tolist()]

    def _groups(self, batch: Columns, roles: Roles) -> list[int] | None:
        """A number for each row: only rows with the same one are compared. None: all are."""
        targets = [name for name in roles.target if name in batch and self.same_target]  # unlabelled text has none
        names = [*targets, *roles.inputs, *roles.text[_MOST_COLUMNS:]]
        if not names:
            return None
        return [key_of(*map(target_text, values)) >> 1 for values in zip(*(batch[name] for name in names), strict=True)]


def _dropped(first: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Go through the rows in order: one goes that is like an earlier one that stays."""
    dropped: NDArray[np.bool_] = first != np.arange(len(first))
    for left, right in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].tolist():
        if not dropped[left]:
            dropped[right] = True
    return dropped
