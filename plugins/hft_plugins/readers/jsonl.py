"""Reader of JSON lines, one object a line, and of JSON lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from hft_core import Columns, DataError, Refusal, Rows
from hft_plugins.readers.json_list import LONE_BYTES, elements
from hft_plugins.readers.source import Lines, TextFileReader, bare, batched, one_after_another

_MOST_KEYS = 1_000  # more are a sign of data in the keys: {"id-1": …}, {"id-2": …}


class JsonlReader(TextFileReader):
    """One JSON object a line, or one JSON list of objects. Blank lines are no records.

    The columns are all keys of the files in the order of their first appearance (they are read twice, once for the keys, so
    that no late key is lost); a row that lacks one has None there. Values keep their JSON types. A place is the number of
    the line; in a list, of the element.
    """

    type: Literal["jsonl"]

    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals.

        Refusals: `invalid-utf8`, `nul-byte`, `line-too-long`, `invalid-json`, `not-an-object`, `lone-surrogate`,
        `unclosed-list`.
        """
        keys: dict[str, None] = {}
        for path in self.files():
            for _, record in self._records(path):
                if not isinstance(record, Refusal):
                    keys.update(dict.fromkeys(record))
                    if len(keys) > _MOST_KEYS:
                        raise DataError(
                            f"{path}: the objects have over {_MOST_KEYS:,} different keys; "
                            'write one record a line, such as {"text": "…", "label": "…"}, with data in the values'
                        )

        def columns(records: list[dict[str, Any]]) -> Columns:
            return {key: [row.get(key) for row in records] for key in keys}

        yield from one_after_another(self.files(), lambda path: batched(self._records(path), columns))

    def read_file(self, path: Path) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals of one file, with its own keys."""
        yield from self.model_copy(update={"path": path}).read()

    def _records(self, path: Path) -> Iterator[tuple[int, dict[str, Any] | Refusal]]:
        """Give line number and record of each line that is not blank, or the number and record of each element."""
        with self.lines(path) as lines:
            if _is_list(lines):
                yield from _elements(lines)
                return
            for raw in lines:
                text = lines.decoded(raw, lines.number)
                if isinstance(text, Refusal):
                    yield lines.number, text
                elif text and not text.isspace():
                    yield lines.number, _parsed(text, lines.number, bare(raw))


def _is_list(lines: Lines) -> bool:
    """Whether the file is one list rather than a list a line, by its first two lines that are not blank."""
    first, second = (next((raw for raw in lines if not raw.isspace()), b"") for _ in range(2))
    lines.rewind()
    if not first.lstrip().startswith(b"["):
        return False
    try:
        _DECODER.decode(first.decode(errors="replace"))
    except (ValueError, RecursionError):
        return True
    return not second


def _elements(lines: Lines) -> Iterator[tuple[int, dict[str, Any] | Refusal]]:
    for place, element in enumerate(elements(lines.text()) or (), 1):
        raw = element.text.encode(errors="surrogateescape")
        if "\0" in element.text:
            record: dict[str, Any] | Refusal = Refusal(place, "nul-byte", "the text holds a NUL byte", raw)
        elif not element.whole:
            record = Refusal(place, "unclosed-list", f"brackets do not fit from line {element.line} on", raw[:1000])
        elif LONE_BYTES.search(element.text):
            found = f"bytes in line {element.line} or below are not {lines.encoding.upper()}"
            record = Refusal(place, f"invalid-{lines.encoding}".replace("utf-8", "utf8"), found, raw)
        else:
            record = _parsed(element.text, place, raw)
        yield place, record


def _parsed(text: str, place: int, raw: bytes) -> dict[str, Any] | Refusal:
    """Give the object of one line, or why it is none."""
    try:
        record = _DECODER.decode(text)
        if "\\u" in text:  # an escaped half of a surrogate pair is valid JSON, but no text
            json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Refusal(place, "lone-surrogate", "an escape of half a character (\\ud800 to \\udfff)", raw)
    except (ValueError, RecursionError) as error:
        return Refusal(place, "invalid-json", str(error), raw)
    if not isinstance(record, dict):
        found = f"the line is a JSON {type(record).__name__}, not an object {{…}}"
        return Refusal(place, "not-an-object", found, raw)
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
