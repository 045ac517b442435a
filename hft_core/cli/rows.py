"""Rows for `hft predict` out of a file or standard input, one by one; a bad one is a Bad, not the end.

Standard library only, so that a prediction starts fast.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from hft_core.errors import DataError

_LONGEST_FIELD = 2**31 - 1


@dataclass(frozen=True)
class Row:
    """One row: a text, or a mapping of columns."""

    place: int
    """Its line in the input, counted from 1; for a record over several lines, the last one."""
    value: Any


@dataclass(frozen=True)
class Bad:
    """A row that cannot be read."""

    place: int
    reason: str


def from_file(file: Path, columns: Sequence[str] = ()) -> Iterator[Row | Bad]:
    """Read `.csv`, `.tsv`, `.jsonl`, or one text per line.

    Raises DataError if the file cannot be opened, is not UTF-8 text, or its header lacks one of `columns`.
    """
    try:
        with file.open("rb") as raw:
            _require_text(raw.read(1 << 16), file)
        # Bytes that are not UTF-8 become lone surrogates, by which `_checked` knows them.
        stream = file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}; check the path") from error
    with stream:
        if file.suffix.lower() in (".csv", ".tsv"):
            yield from from_csv(stream, str(file), columns)
        elif file.suffix.lower() in (".jsonl", ".ndjson"):
            yield from from_jsonl(stream)
        else:
            yield from from_lines(stream)


def from_lines(lines: Iterable[str]) -> Iterator[Row | Bad]:
    """Take every line as a text, empty ones too: a line in, a prediction out."""
    for place, line in enumerate(lines, 1):
        yield _checked(place, line) or Row(place, line.rstrip("\r\n"))


def from_jsonl(lines: Iterable[str]) -> Iterator[Row | Bad]:
    """Take every line that is not blank as an object, or a string."""
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if bad := _checked(place, line):
            yield bad
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Bad(place, f"it is not JSON: {error}")
            continue
        yield Row(place, value)


def from_csv(lines: Iterable[str], name: str, columns: Sequence[str] = ()) -> Iterator[Row | Bad]:
    """Take the first record as the names of the columns; they are divided by what divides them most often.

    Raises DataError where there is none, or it lacks one of `columns`.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    remaining = iter(lines)
    first = next(remaining, "")
    reader = csv.reader(chain([first], remaining), delimiter=max(",\t;|", key=first.count))
    try:
        header = next(reader, [])
        if not any(header):
            raise DataError(f"{name} is empty; its first line has to name the columns")
        if lacking := [column for column in columns if column not in header]:
            raise DataError(f"{name} has no column {lacking[0]!r}, which this model reads; it has {', '.join(header)}")
        for record in reader:
            if not record:
                continue
            place = reader.line_num
            if bad := _checked(place, "".join(record)):
                yield bad
            elif len(record) != len(header):
                yield Bad(place, f"it has {len(record)} fields, the header has {len(header)}; quote such fields")
            else:
                yield Row(place, dict(zip(header, record, strict=True)))
    except csv.Error as error:
        yield Bad(reader.line_num, f"it is not CSV, and nothing after it can be read: {error}")


def standard_input() -> Iterator[str]:
    """Give the lines of standard input as they come, read as UTF-8."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", errors="surrogateescape")


def _require_text(head: bytes, file: Path) -> None:
    """Refuse, once and not row by row, a file that is in another encoding."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:200]:
        raise DataError(f"{file} is not UTF-8 text; convert it first (iconv -f UTF-16 -t UTF-8, for example)")
    lines = head.splitlines()[:200]
    foreign = sum(_checked(0, line.decode("utf-8-sig", "surrogateescape")) is not None for line in lines)
    if foreign > 0.5 * len(lines):
        raise DataError(f"{file} is not UTF-8; convert it first (iconv -f GB18030 -t UTF-8, for example)")


def _checked(place: int, text: str) -> Bad | None:
    """Find what was not UTF-8."""
    if text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text):
        return None
    return Bad(place, "it is not UTF-8; convert the file (iconv -f GB18030 -t UTF-8, for example)")
