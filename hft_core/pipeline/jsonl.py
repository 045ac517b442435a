"""Files of one JSON object per line that are read while they grow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from hft_core.store.strict_json import strict_json

Record = Mapping[str, Any]


class JsonLines:
    """One such file. A log is never worth a run: where it cannot be written, that is said once, and it stays as it is."""

    def __init__(self, path: Path, warn: Callable[[str], None]):
        self.path, self._warn = path, warn
        self._stream: IO[str] | None = None
        self._broken = False

    def begin(self, records: Iterable[Record] = ()) -> None:
        """Start anew with these records."""
        self.close()
        self._write(records, "w")

    def append(self, *records: Record) -> None:
        """Add records; whoever reads the file sees them at once."""
        self._write(records, "a")

    def close(self) -> None:
        """Let go of the file."""
        if self._stream is not None:
            with suppress(OSError):
                self._stream.close()
            self._stream = None

    def _write(self, records: Iterable[Record], mode: str) -> None:
        if self._broken:
            return
        try:
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self.path.open(mode, encoding="utf-8", newline="\n")
            for record in records:
                self._stream.write(strict_json(record) + "\n")
            self._stream.flush()
        except OSError as error:
            self._broken = True
            self.close()
            self._warn(f"warning: {self.path} cannot be written ({error.strerror}); the run goes on without this log")


def now() -> str:
    """The time for a record: ISO 8601, with the zone."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole records of such a file: none where there is no file, and not what a killed process left half written."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError:
        return []
    records = []
    for line in text.split("\n"):
        with suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                records.append(record)
    return records
