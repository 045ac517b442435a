"""Filter of rows whose text occurs more than once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Columns, Roles, RowFilter, target_text
from hft_plugins.cleaners.rows import slices

_BLANK = 0  # instead of the hash of a row without text
_REASONS = (None, "duplicate", "label-conflict")
_DUPLICATE, _CONFLICT = 1, 2
_PARTS = 16  # of the hashes, which are sorted one after the other


class ExactDuplicates(RowFilter):
    """Keeps the first of rows with the same text (reason `duplicate`), and no text with two targets (`label-conflict`).

    Texts are compared by 64-bit hashes: among 20 million rows, one is mistaken for another with a chance of 1 in 90,000.
    A row without text is no duplicate of another one; `length` drops it.
    """

    type: Literal["exact-duplicates"]
    normalise: bool = True
    """Whether texts that differ only in case or whitespace count as the same."""
    conflicts: Literal["drop", "keep"] = "drop"
    """Rows with the same text and different targets: drop all of them, or keep one for each target."""

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Read all rows (8 bytes each are kept, 16 where there are targets), then give a reason or None for each."""
        hashes = bytearray()
        sizes: list[int] = []
        width = 1
        for batch in batches:
            keys = self._keys(batch, roles)
            hashes += keys.tobytes()
            sizes.append(len(keys))
            width = keys.shape[1]
        codes = _codes(np.frombuffer(hashes, np.uint64).reshape(-1, width), self.conflicts == "drop")
        for part in slices(sizes):
            yield [_REASONS[code] for code in codes[part].tolist()]

    def _keys(self, batch: Columns, roles: Roles) -> NDArray[np.uint64]:
        """Give the hashes of each row's text and, where there are targets, of those: [rows, 1 or 2]."""
        texts = zip(*(batch[name] for name in (*roles.text, *roles.inputs)), strict=True)
        keys = [[self._text_key(text) for text in texts]]
        targets = [batch[name] for name in roles.target if name in batch]  # unlabelled text has none
        if targets:
            keys.append([_hash(map(target_text, target)) for target in zip(*targets, strict=True)])
        return np.array(keys, np.uint64).T

    def _text_key(self, values: Iterable[object]) -> int:
        texts = [self._same(value) for value in values]
        return _hash(texts) if any(text.strip() for text in texts) else _BLANK

    def _same(self, value: object) -> str:
        text = "" if value is None else str(value)
        return " ".join(text.casefold().split()) if self.normalise else text


def _codes(keys: NDArray[np.uint64], drop_conflicts: bool) -> NDArray[np.uint8]:
    """Give the position in `_REASONS` for each row of hashes; sorts a part of them at a time, to save memory."""
    codes = np.zeros(len(keys), np.uint8)
    part_of = keys[:, 0].astype(np.uint8) % _PARTS
    for part in range(_PARTS):
        rows = np.flatnonzero(part_of == part)
        rows = rows[np.lexsort(keys[rows].T[::-1])]  # by text, then target, then row
        found = keys[rows]
        same_text = found[1:, 0] == found[:-1, 0]
        same = (found[1:] == found[:-1]).all(axis=1)
        codes[rows[1:][same]] = _DUPLICATE
        if drop_conflicts:
            group = np.append(0, np.cumsum(~same_text))[: len(rows)]
            codes[rows[np.isin(group, group[1:][same_text & ~same])]] = _CONFLICT
    codes[keys[:, 0] == _BLANK] = 0
    return codes


def _hash(values: Iterable[object]) -> int:
    """Hash values so that ("a", "b") and ("ab", "") differ."""
    text = "\x1f".join(map(repr, values)).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
