"""Reader of delimited files: CSV, TSV and their relatives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Literal, Self

from pydantic import Field, model_validator

from hft_core import DataError, Refusal, Rows
from hft_core.runtime.encoding import separator
from hft_plugins.readers.source import BATCH, Lines, TextFileReader, bare

_LONGEST = 1 << 20  # bytes of a record over several lines; a quote that runs on longer is taken for a stray one


_QUOTE_FAULTS = {
    "unclosed-quote": "a field begins with a quote that is not closed",
    "stray-quote": "a quote closes a field and something other than the delimiter follows",
}


class QuoteError(ValueError):
    """A quote stands where it may not."""

    def __init__(self, reason: Literal["unclosed-quote", "stray-quote"]):
        super().__init__(
            f"{_QUOTE_FAULTS[reason]}; double quotes within a field, or write `quote: null` if they are plain"
        )
        self.reason = reason


class CsvReader(TextFileReader):
    r"""A delimited file (CSV, TSV), quoted as in RFC 4180. All values are texts; an empty field is "".

    Nothing is taken for a missing value: `NA`, `null` and `None` stay texts. Empty lines are no records.
    A quote counts only at the beginning of a field; elsewhere in an unquoted field it is an ordinary
    character. A record that a quote makes run on must close within 1 MiB with the right number of
    fields; otherwise its first line is refused alone, and reading goes on at the next line.
    """

    type: Literal["csv"]
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """The character between fields; by default a tab for `.tsv` and `.tab`, otherwise found in the first line."""
    header: bool = True
    """Whether the first line names the columns."""
    columns: list[str] | None = Field(default=None, min_length=1)
    """Names of the columns of a file without a header; by default `column1`, `column2`, …"""
    quote: str | None = Field(default='"', min_length=1, max_length=1)
    """The character around fields that contain delimiters or line ends; null where quotes are ordinary characters."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if self.columns is not None and self.header:
            raise ValueError("`columns` names the columns of a file without a header: write `header: false` too")
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ValueError(f"`columns` has a name twice: {', '.join(self.columns)}")
        if self.delimiter is not None and self.delimiter == self.quote:
            raise ValueError(f"`delimiter` and `quote` are both {self.quote!r}")
        return self

    def read_file(self, path: Path) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals; a place is the number of the record's first line.

        Refusals: `invalid-utf8`, `nul-byte`, `wrong-field-count`, `stray-quote` (something follows a closing
        quote), `unclosed-quote`.
        """
        with self.lines(path) as lines:
            delimiter, names = self._layout(lines, path)
            found = False
            fields: list[list[str]] = []
            places: list[int] = []
            for raw in lines:
                place = lines.number
                record = self._record(raw, lines, delimiter, len(names))
                if record is None:
                    continue
                found = True
                if isinstance(record, Refusal):
                    yield record
                    continue
                fields.append(record)
                places.append(place)
                if len(fields) == BATCH:
                    yield _rows(names, fields, places)
                    fields, places = [], []
            if fields:
                yield _rows(names, fields, places)
            if not found:
                raise DataError(
                    f"{path}: nothing follows the header {delimiter.join(names)!r}; add rows, "
                    "or write `header: false` if this line is a row"
                )

    def _layout(self, lines: Lines, path: Path) -> tuple[str, list[str]]:
        """Find the delimiter and the names of the columns; `lines` then stands at the first row."""
        first, raw, where = self._first(lines, path)
        named = separator(first)
        if named:  # a line for Excel alone
            first, raw, where = self._first(lines, path)
        delimiter = self.delimiter or named or _delimiter(first, PurePath(lines.name).suffix.lower(), self.quote)
        outside = _outside(first, self.quote)
        if self.header and self.delimiter and self.delimiter not in outside:
            other = _delimiter(first, "", self.quote)
            if other in outside:
                raise DataError(
                    f"{where}: no {delimiter!r} stands there, but {other!r}; correct `delimiter`, or leave it out"
                )
        if self.columns is not None:
            if first.replace(self.quote or "", "").split(delimiter) == self.columns:
                raise DataError(f"{where}: the first line repeats `columns`; remove these and write `header: true`")
            self._to_rows(lines, path, named)
            return delimiter, self.columns
        record = self._record(raw, lines, delimiter, None)
        if record is None or isinstance(record, Refusal):
            raise DataError(f"{where}: the first line cannot be split: {record.detail if record else 'it is blank'}")
        if not self.header:
            self._to_rows(lines, path, named)
            return delimiter, [f"column{position}" for position in range(1, len(record) + 1)]
        # pandas writes its index under an empty name
        names = [name.strip() or f"column{position}" for position, name in enumerate(record, 1)]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(
                f"{where}: the header has {twice!r} twice; rename one, or write `header: false` if this line is a row"
            )
        return delimiter, names

    def _to_rows(self, lines: Lines, path: Path, named: str | None) -> None:
        """Go back to the first row of a file without a header."""
        lines.rewind()
        if named:
            self._first(lines, path)

    def _first(self, lines: Lines, path: Path) -> tuple[str, bytes, str]:
        """The next line that is not blank, as text and as it stands in the file, and its place."""
        raw = next((line for line in lines if line.strip()), b"")
        text = lines.decoded(raw, lines.number)
        where = f"{path}, line {lines.number}"
        if isinstance(text, Refusal):
            raise DataError(f"{where}: {text.detail}; repair the first line")
        return text, raw, where

    def _record(self, raw: bytes, lines: Lines, delimiter: str, count: int | None) -> list[str] | Refusal | None:
        """Give the fields of the record that begins with the line `raw`; None for an empty line."""
        place = lines.number
        text = lines.decoded(raw, place)
        if isinstance(text, Refusal):
            return text
        if not text:
            return None
        if self.quote is None or self.quote not in text:
            fields = text.split(delimiter)
        else:
            try:
                fields = split(text, delimiter, self.quote)
            except QuoteError as error:
                if error.reason == "unclosed-quote" and (record := self._run_on(raw, lines, delimiter, count)):
                    return record
                return Refusal(place, error.reason, str(error), bare(raw))
        if count is not None and len(fields) != count:
            found = f"{len(fields)} fields where {count} are expected (delimiter {delimiter!r})"
            return Refusal(place, "wrong-field-count", found, bare(raw))
        return fields

    def _run_on(self, raw: bytes, lines: Lines, delimiter: str, count: int | None) -> list[str] | None:
        """Give the fields of a record over several lines; None, with the lines put back, where it is none."""
        assert self.quote is not None
        mark = self.quote.encode()
        whole = raw
        taken: list[bytes] = []
        while len(whole) < _LONGEST and (line := lines.next()):
            taken.append(line)
            whole += line
            if mark not in line:
                continue  # nothing can close here
            text = lines.decoded(whole, 0)
            if isinstance(text, Refusal):
                break
            try:
                fields = split(text, delimiter, self.quote)
            except QuoteError as error:
                if error.reason == "unclosed-quote":
                    continue
                break
            if count is None or len(fields) == count:
                return fields
            break
        lines.put_back(taken)
        return None


def split(text: str, delimiter: str, quote: str) -> list[str]:
    """Split one record by RFC 4180. Raises QuoteError with `unclosed-quote` or `stray-quote`."""
    fields: list[str] = []
    position = 0
    while True:
        if text.startswith(quote, position):
            end = text.find(quote, position + 1)
            while end != -1 and text.startswith(quote, end + 1):  # a doubled quote stands for one
                end = text.find(quote, end + 2)
            if end == -1:
                raise QuoteError("unclosed-quote")
            fields.append(text[position + 1 : end].replace(quote + quote, quote))
            if end + 1 == len(text):
                return fields
            if text[end + 1] != delimiter:
                raise QuoteError("stray-quote")
            position = end + 2
        else:
            end = text.find(delimiter, position)
            if end == -1:
                fields.append(text[position:])
                return fields
            fields.append(text[position:end])
            position = end + 1


def _delimiter(first: str, suffix: str, quote: str | None) -> str:
    """Find the delimiter in the first line outside quotes: a tab if any, else comma or semicolon, else a bar."""
    if suffix in (".tsv", ".tab"):
        return "\t"
    outside = _outside(first, quote)
    if "\t" in outside:
        return "\t"
    found = max(",;", key=outside.count)
    return "|" if found not in outside and "|" in outside else found


def _outside(line: str, quote: str | None) -> str:
    """What of a line stands outside of quotes."""
    return "".join(line.split(quote)[::2]) if quote else line


def _rows(names: list[str], fields: list[list[str]], places: list[int]) -> Rows:
    """Turn records into columns."""
    return Rows({name: list(column) for name, column in zip(names, zip(*fields, strict=True), strict=True)}, places)
