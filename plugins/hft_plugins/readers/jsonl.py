"""Reader of JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from hft_core import DataError, Reader, Refusal, Rows
from hft_plugins.readers.source import BATCH, Lines, decoded

_MOST_KEYS = 1_000  # more are a sign of data in the keys: {"id-1": …}, {"id-2": …}


class JsonlReader(Reader):
    """One JSON object a line, UTF-8. Blank lines are no records.

    The columns are all keys of the file in the order of their first appearance (the file is read twice,
    once for the keys, so that no late key is lost); a row that lacks one has None there. Values keep
    their JSON types.
    """

    type: Literal["jsonl"]
    path: Path
    """The file."""

    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals: `invalid-utf8`, `nul-byte`, `invalid-json`, `not-an-object`, `lone-surrogate`."""
        keys: dict[str, None] = {}
        for _, record in self._records():
            if not isinstance(record, Refusal):
                keys.update(dict.fromkeys(record))
                if len(keys) > _MOST_KEYS:
                    raise DataError(
                        f"{self.path}: the objects have over {_MOST_KEYS:,} different keys; "
                        'write one record a line, such as {"text": "…", "label": "…"}, with data in the values'
                    )
        rows: list[dict[str, Any]] = []
        places: list[int] = []
        for place, record in self._records():
            if isinstance(record, Refusal):
                yield record
                continue
            rows.append(record)
            places.append(place)
            if len(rows) == BATCH:
                yield Rows({key: [row.get(key) for row in rows] for key in keys}, places)
                rows, places = [], []
        if rows:
            yield Rows({key: [row.get(key) for row in rows] for key in keys}, places)

    def _records(self) -> Iterator[tuple[int, dict[str, Any] | Refusal]]:
        """Give line number and record of each line that is not blank."""
        with Lines(self.path) as lines:
            for raw in lines:
                text = decoded(raw, lines.number)
                if isinstance(text, Refusal):
                    yield lines.number, text
                elif text and not text.isspace():
                    yield lines.number, _parsed(text, lines.number)


def _parsed(text: str, place: int) -> dict[str, Any] | Refusal:
    """Give the object of one line, or why it is none."""
    try:
        record = _DECODER.decode(text)
        if "\\u" in text:  # an escaped half of a surrogate pair is valid JSON, but no text
            json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Refusal(place, "lone-surrogate", "an escape of half a character (\\ud800 to \\udfff)", text.encode())
    except (ValueError, RecursionError) as error:
        return Refusal(place, "invalid-json", str(error), text.encode())
    if not isinstance(record, dict):
        found = f"the line is a JSON {type(record).__name__}, not an object {{…}}"
        return Refusal(place, "not-an-object", found, text.encode())
    return record


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; a key that occurs twice would lose a value."""
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return record


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
