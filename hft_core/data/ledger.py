"""The row ledger: read = kept + quarantined + dropped; made rows are counted apart."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

QUARANTINE = "quarantine.jsonl"
"""The file with the records of a source that could not be used."""
_PLACES = ("file", "line", "component", "reason")


@dataclass
class Ledger:
    """What became of the rows of one source or split."""

    read: int = 0
    """Records that the reader found, refused ones included; for a split made of another: rows it was given."""
    quarantined: Counter[str] = field(default_factory=Counter)
    """Records that could not be used, by reason."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that were left out on purpose, by component and reason."""
    moved: int = 0
    """Rows that went to another split."""
    made: Counter[str] = field(default_factory=Counter)
    """Variants that were made, by augmenter."""
    touched: Counter[str] = field(default_factory=Counter)
    """Rows that a text cleaner changed, by cleaner."""
    examples: dict[str, list[list[str]]] = field(default_factory=dict)
    """A few [before, after] per cleaner and augmenter."""
    found: dict[str, str] = field(default_factory=dict)
    """What the reader found out about the source, such as its encoding."""

    @property
    def kept(self) -> int:
        """Rows that are left."""
        return self.read - self.quarantined.total() - self.dropped.total() - self.moved

    def example(self, component: str, before: str, after: str) -> None:
        """Keep up to three examples per component."""
        shown = self.examples.setdefault(component, [])
        if len(shown) < 3:
            shown.append([before[:300], after[:300]])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, `kept` included."""
        return {
            "read": self.read,
            "kept": self.kept,
            "quarantined": dict(self.quarantined),
            "dropped": dict(self.dropped),
            "moved": self.moved,
            "made": dict(self.made),
            "touched": dict(self.touched),
            "examples": self.examples,
            "found": self.found,
        }


class Quarantine:
    """Writes refused records to a JSON Lines file: file, line, component, reason, detail, raw.

    `raw` is the record's text. Of a record that is no UTF-8 it shows the other bytes as escapes, and `raw_base64` has all
    bytes as they stand in the file.
    """

    def __init__(self, path: Path):
        self._stream = path.open("w", encoding="utf-8", errors="backslashreplace")  # JSON may hold half characters

    def add(self, file: str, line: int, component: str, reason: str, detail: str, raw: bytes | str) -> None:
        """Write one record."""
        text = raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")
        record = {"file": file, "line": line, "component": component, "reason": reason, "detail": detail, "raw": text}
        if isinstance(raw, bytes) and text.encode("utf-8") != raw:
            record["raw_base64"] = base64.b64encode(raw).decode()
        self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def without_texts(lines: str) -> str:
    """Give the lines of a quarantine file with nothing but file, line, component and reason."""
    records = (json.loads(line) for line in lines.split("\n") if line)
    kept = ({key: record[key] for key in _PLACES} for record in records)
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
