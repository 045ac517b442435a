"""Filter of rows whose text occurs more than once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Literal

from hft_core import Columns, Roles, RowFilter

_BLANK = b""  # instead of the hash of a row without text


class ExactDuplicates(RowFilter):
    """Keeps the first of rows with the same text (reason `duplicate`), and no text with two targets (`label-conflict`).

    A row without text is no duplicate of another one; `length` drops it.
    """

    type: Literal["exact-duplicates"]
    normalise: bool = True
    """Whether texts that differ only in case or whitespace count as the same."""
    conflicts: Literal["drop", "keep"] = "drop"
    """Rows with the same text and different targets: drop all of them, or keep one for each target."""

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Read all rows (16 bytes of hash each are kept), then give a reason or None for each."""
        hashed = [self._keys(batch, roles) for batch in batches]
        targets: dict[bytes, bytes] = {}
        conflicting = {text for rows in hashed for text, target in rows if targets.setdefault(text, target) != target}
        seen: set[tuple[bytes, bytes]] = set()
        for rows in hashed:
            reasons: list[str | None] = []
            for row in rows:
                if row[0] == _BLANK:
                    reasons.append(None)
                elif row[0] in conflicting and self.conflicts == "drop":
                    reasons.append("label-conflict")
                else:
                    reasons.append("duplicate" if row in seen else None)
                    seen.add(row)
            yield reasons

    def _keys(self, batch: Columns, roles: Roles) -> list[tuple[bytes, bytes]]:
        """Give the hashes of text and target of each row."""
        texts = zip(*(batch[name] for name in (*roles.text, *roles.inputs)), strict=True)
        targets = [batch[name] for name in roles.target if name in batch]  # unlabelled text has none
        count = len(batch[roles.text[0]])
        return [
            (self._text_key(text), _hash(target))
            for text, target in zip(texts, zip(*targets, strict=True) if targets else [()] * count, strict=True)
        ]

    def _text_key(self, values: Iterable[object]) -> bytes:
        texts = [self._same(value) for value in values]
        return _hash(texts) if any(text.strip() for text in texts) else _BLANK

    def _same(self, value: object) -> str:
        text = "" if value is None else str(value)
        return " ".join(text.casefold().split()) if self.normalise else text


def _hash(values: Iterable[object]) -> bytes:
    """Hash values so that ("a", "b") and ("ab", "") differ."""
    return blake2b("\x1f".join(map(repr, values)).encode(errors="surrogatepass"), digest_size=16).digest()
