"""Which rows of one split are like rows of another, or of the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Columns, Roles
from hft_core.data.similarity import TextIndex
from hft_core.runtime.randomness import key_of

NEAR = 0.8
"""Jaccard similarity of character n-grams from which the checks call two texts nearly the same."""
_COLUMNS = 4
"""Text columns that are compared by n-grams; further ones, and inputs that are no texts, have to be equal."""

Alike = dict[tuple[str, str], NDArray[np.bool_]]
"""For two splits (a, b): whether each row of b is like a row of a. For (a, a): like an earlier or another row of a."""


def alike(splits: Mapping[str, Iterable[Columns]], roles: Roles) -> Alike:
    """Compare all rows of all splits. A row is about 74 bytes here; texts are read batch by batch."""
    index = TextIndex(NEAR, columns=len(roles.text[:_COLUMNS]))
    counts = {split: sum(_add(index, columns, roles) for columns in batches) for split, batches in splits.items()}
    found = index.pairs()
    ends = np.cumsum(list(counts.values()))
    groups = {  # of equal rows, each called by its first
        split: found.first[end - count : end] for (split, count), end in zip(counts.items(), ends, strict=True)
    }
    result: Alike = {}
    for one, own in groups.items():
        members = np.unique(own)
        left, right = (np.isin(found.rows[:, side], members) for side in (0, 1))
        near = np.concatenate([found.rows[left, 1], found.rows[right, 0]])
        for other, theirs in groups.items():
            if other != one:
                result[one, other] = np.isin(theirs, np.concatenate([members, near]))
        _, firsts = np.unique(own, return_index=True)
        again = ~np.isin(np.arange(len(own)), firsts)
        result[one, one] = again | np.isin(own, found.rows[left & right, 1])
    return result


def _add(index: TextIndex, columns: Columns, roles: Roles) -> int:
    texts = [["" if value is None else str(value) for value in columns[name]] for name in roles.text[:_COLUMNS]]
    rest = [columns[name] for name in (*roles.text[_COLUMNS:], *roles.inputs)]
    groups = [key_of(*map(repr, values)) >> 1 for values in zip(*rest, strict=True)] if rest else None
    index.add(*texts, groups=groups)
    return len(texts[0])
