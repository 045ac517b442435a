"""Rows for `hft predict` out of a file or standard input, one by one; a bad one is a Bad, not the end.

Standard library only, so that a prediction starts fast.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any

from hft_core.errors import DataError
from hft_core.runtime.encoding import detect, separator

_LONGEST_FIELD = 2**31 - 1
_HEAD = 1 << 16
"""Bytes by which a pipe's encoding is judged."""
_DIVIDERS = ",\t;|"
_WIDE = ("utf-16", "utf-32")


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


@dataclass(frozen=True)
class Form:
    """How rows are written."""

    kind: str
    """`csv`, `jsonl` or `text`."""
    read: Sequence[str] = ()
    """The columns that the model reads; a CSV has to have them."""
    header: Sequence[str] = ()
    """The columns of a CSV whose first line does not name them."""
    encoding: str = "utf-8"
    """What undecoded bytes are not, for messages."""


class File:
    """A file of rows, read while it is iterated over; its encoding is found as readers find it."""

    def __init__(self, path: Path, form: Form):
        """Raises DataError if the file cannot be opened, or is no text."""
        self._name = str(path)
        try:
            self._raw = BufferedReader(path.open("rb", buffering=0), _HEAD)
            head = self._raw.peek(_HEAD)  # without taking it: a pipe cannot be read twice
            encoding = "utf-8"
            if self._raw.seekable():
                encoding = detect(self._raw)
                self._raw.seek(0)
            if encoding == "utf-8":
                _require_text(head, path)
            self._form = replace(form, encoding=encoding)
            self.bytes = path.stat().st_size
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}; check the path") from error

    @property
    def position(self) -> int:
        """How many of its bytes have been read."""
        return self.bytes if self._raw.closed or not self._raw.seekable() else self._raw.tell()

    def __iter__(self) -> Iterator[Row | Bad]:
        """Give the rows, once. Raises DataError where a header lacks a column."""
        encoding = "utf-8-sig" if self._form.encoding == "utf-8" else self._form.encoding
        # Bytes that are none of the encoding become lone surrogates, or, where those cannot stand for them, U+FFFD, by which
        # `_checked` knows them.
        errors = "replace" if encoding in _WIDE else "surrogateescape"
        with TextIOWrapper(self._raw, encoding=encoding, errors=errors, newline="") as stream:
            yield from parsed(stream, self._form, self._name)


def kind_of(path: Path) -> str:
    """The kind that a file's name says: `.csv`, `.tsv`, `.jsonl`, `.ndjson`; any other is one text per line."""
    suffix = path.suffix.lower()
    return {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(suffix, "text")


def parsed(lines: Iterable[str], form: Form, name: str) -> Iterator[Row | Bad]:
    """Give the rows in `lines`; `name` says in errors where they are from."""
    if form.kind == "csv":
        return from_csv(lines, name, form)
    return from_jsonl(lines, form.encoding) if form.kind == "jsonl" else from_lines(lines, form.encoding)


def from_lines(lines: Iterable[str], encoding: str) -> Iterator[Row | Bad]:
    """Take every line as a text, empty ones too: a line in, a prediction out."""
    for place, line in enumerate(lines, 1):
        yield _checked(place, line, encoding) or Row(place, line.rstrip("\r\n"))


def from_jsonl(lines: Iterable[str], encoding: str) -> Iterator[Row | Bad]:
    """Take every line that is not blank as an object, or a string."""
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if bad := _checked(place, line, encoding):
            yield bad
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Bad(place, f"it is not JSON: {error}")
            continue
        yield Row(place, value)


def from_csv(lines: Iterable[str], name: str, form: Form) -> Iterator[Row | Bad]:
    """Take the first record as the names of the columns, unless the form gives them.

    Fields are divided by what divides the first line most often; with a header given, by what gives it as many.
    Raises DataError where the file is empty, or its columns lack one that is read.
    """
    read, header = form.read, form.header
    csv.field_size_limit(_LONGEST_FIELD)
    remaining = iter(lines)
    first = next(remaining, "")
    if named := separator(first):
        first = next(remaining, "")
    divide = named or (_divider(first, len(header)) if header else max(_DIVIDERS, key=first.count))
    reader = csv.reader(chain([first], remaining), delimiter=divide)
    try:
        names = list(header) or next(reader, [])
        if not any(names) or not first:
            raise DataError(f"{name} is empty{'' if header else '; its first line has to name the columns'}")
        if lacking := [column for column in read if column not in names]:
            raise DataError(
                f"{name} has no column {lacking[0]!r}, which this model reads; it has {', '.join(names)}. If its first "
                "line is a row already, name its columns with --columns"
            )
        if twice := [column for column in read if names.count(column) > 1]:
            raise DataError(f"{name} has two columns {twice[0]!r}; rename one")
        for record in reader:
            if not record:
                continue
            place = reader.line_num + bool(named)
            if bad := _checked(place, "".join(record), form.encoding):
                yield bad
            elif len(record) != len(names):
                yield Bad(place, f"it has {len(record)} fields instead of {len(names)}; quote such fields")
            else:
                yield Row(place, dict(zip(names, record, strict=True)))
    except csv.Error as error:
        yield Bad(reader.line_num + bool(named), f"it is not CSV, and nothing after it can be read: {error}")


def _divider(line: str, fields: int) -> str:
    """What divides a line into so many fields."""
    fitting = [one for one in _DIVIDERS if len(next(csv.reader([line], delimiter=one), [])) == fields]
    return fitting[0] if fitting else _DIVIDERS[0]


def standard_input() -> Iterator[str]:
    """Give the lines of standard input as they come, read as UTF-8."""
    for place, line in enumerate(sys.stdin.buffer):
        text = line.decode("utf-8", errors="surrogateescape")
        yield text if place else text.removeprefix("\ufeff")


def _require_text(head: bytes, file: Path) -> None:
    """Refuse, once and not row by row, what is no text in UTF-8, where no other encoding was found."""
    if head.startswith(b"PK\x03\x04"):
        raise DataError(f"{file} is a zip archive or an Excel workbook; unpack it, or save its sheet as CSV (UTF-8)")
    start = head[:200]  # a null byte alone is a character like others; in UTF-16 every second byte of English is one
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or start.count(0) > len(start) / 4:
        raise DataError(f"{file} is not UTF-8 text; convert it first (iconv -f UTF-16 -t UTF-8, for example)")
    lines = head.splitlines()[:200]
    foreign = sum(_checked(0, line.decode("utf-8-sig", "surrogateescape"), "utf-8") is not None for line in lines)
    if foreign > 0.5 * len(lines):
        raise DataError(f"{file} is not UTF-8; convert it first (iconv -f GB18030 -t UTF-8, for example)")


def _checked(place: int, text: str, encoding: str) -> Bad | None:
    """Find bytes that were no text."""
    if text.isascii():
        return None
    broken = "\ufffd" in text if encoding in _WIDE else any("\udc80" <= character <= "\udcff" for character in text)
    if not broken:
        return None
    return Bad(place, f"it is not {encoding.upper()}; convert the file to UTF-8 (with iconv, for example)")
