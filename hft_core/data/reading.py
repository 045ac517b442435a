"""Reading sources: each record becomes a row with a number, or goes to the quarantine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hft_core.components import Columns, Reader, Refusal, Rows
from hft_core.data.labels import named
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.table import ROW, VARIANT
from hft_core.errors import DataError

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_source(
    reader: Reader,
    name: str,
    ledger: Ledger,
    quarantine: Quarantine,
    wanted: Collection[str],
    refusals: Callable[[Columns], list[str | None]] | None = None,
    arrange: Callable[[Columns], Columns] = lambda columns: columns,
) -> Iterator[Columns]:
    """Yield the `wanted` columns of a source's rows, and each row's line; `refusals` says why a row cannot be used.

    `arrange` makes the wanted columns of those that were read, see `Task.arrange`.

    Raises DataError where no row is left, where more rows are bad than the reader's `bad_rows` allows, or where a column
    is missing or has a name that hft needs for itself.
    """
    if taken := {ROW, VARIANT} & set(wanted):
        raise DataError(f"data.{name}: a column is called {taken.pop()!r}, which hft uses itself; rename it")
    ledger.found = reader.found()
    file = source_title(reader)
    note = _Bad(reader, name, file, ledger, quarantine)
    for item in _named_items(reader, wanted):
        if isinstance(item, Refusal):
            ledger.read += 1
            note.add(item.file or Path(file).name, item.place, reader.type_name(), item.reason, item.detail, item.raw)
            continue
        count = len(item.places)
        arranged = _arranged(arrange, item.columns, wanted, f"data.{name}: {file}")
        columns = {name: [_sound(value) for value in arranged[name]] for name in wanted}
        columns[ROW] = list(item.places)
        ledger.read += count
        reasons = refusals(columns) if refusals else [None] * count
        for index, reason in enumerate(reasons):
            if reason:
                code, _, detail = reason.partition(": ")
                row = {column: values[index] for column, values in columns.items() if column != ROW}
                raw = json.dumps(row, ensure_ascii=False, default=str)
                place = item.places[index] - item.before
                note.add(item.file or Path(file).name, place, "task", code, detail or code.replace("-", " "), raw)
        kept = [index for index, reason in enumerate(reasons) if reason is None]
        if kept:
            yield {column: [values[index] for index in kept] for column, values in columns.items()}
    if ledger.kept == 0:
        raise DataError(f"data.{name}: {file} has no usable row ({note.reasons() or 'it is empty'}){note.first()}")
    note.check_share()


def _arranged(arrange: Callable[[Columns], Columns], columns: Columns, wanted: Collection[str], where: str) -> Columns:
    """Arrange a batch, and look whether the wanted columns are there."""
    try:
        made = arrange(columns)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    for column in wanted:
        if column not in made:
            raise DataError(
                f"{where} has no column {column!r}; its columns are {', '.join(made)}. All splits of a task have the same "
                "columns: rename it, or set the task's column"
            )
    return made


class _Bad:
    """Counts bad rows, writes them into the quarantine, and stops the run at the reader's limit."""

    def __init__(self, reader: Reader, name: str, file: str, ledger: Ledger, quarantine: Quarantine):
        self._reader, self._name, self._file = reader, name, file
        self._ledger, self._quarantine = ledger, quarantine
        self._first: str | None = None

    def add(self, file: str, line: int, component: str, reason: str, detail: str, raw: bytes | str) -> None:
        """Note one; raises DataError where it is one too many."""
        self._ledger.quarantined[reason] += 1
        self._quarantine.add(file, line, component, reason, detail, raw)
        self._first = self._first or f"{file}, line {line}: {reason}: {detail}"
        limit = self._reader.bad_rows
        if limit is not None and limit >= 1 and self._ledger.quarantined.total() > limit:
            self._stop(f"more than {limit:g} rows of {self._file} cannot be used")

    def check_share(self) -> None:
        """Look at the whole source, at its end; raises DataError where too large a share is bad."""
        limit, bad = self._reader.bad_rows, self._ledger.quarantined.total()
        if limit is not None and limit < 1 and bad > limit * self._ledger.read:
            self._stop(f"{bad} of {self._ledger.read} rows of {self._file} cannot be used, more than {limit:.0%}")

    def reasons(self) -> str:
        """The counts by reason."""
        return ", ".join(f"{reason}: {count}" for reason, count in self._ledger.quarantined.items())

    def first(self) -> str:
        """A sentence about the first one, behind another."""
        return f". The first is in {self._first}" if self._first else ""

    def _stop(self, what: str) -> None:
        raise DataError(
            f"data.{self._name}: {what} ({self.reasons()}){self.first()}. Correct the rows, or the source's settings; or allow "
            "more with `bad_rows:`"
        )


def _named_items(reader: Reader, wanted: Collection[str]) -> Iterator[Rows | Refusal]:
    """What a reader reads, with names for labels in the `wanted` columns."""
    if reader.labels and reader.labels.column not in wanted:
        raise DataError(
            f"labels: the task does not read the column {reader.labels.column!r}, but {', '.join(wanted)}; correct "
            "`labels.column`"
        )
    read = reader.read
    for labels in reader.label_names():
        if labels.column in wanted:
            read = partial(named, read, labels)
    return read()


def _sound(value: Any) -> Any:
    """Text without lone surrogates, which no tokenizer and no Arrow column takes."""
    if isinstance(value, str):
        return value if value.isascii() else _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_sound(item) for item in value]
    if isinstance(value, dict):
        return {_sound(key): _sound(item) for key, item in value.items()}
    return value


def source_title(reader: Reader) -> str:
    """What messages call a source: its file, the first of its files, or the reader's type."""
    path = getattr(reader, "path", None)
    if isinstance(path, list):
        return f"{path[0]} and {len(path) - 1} more" if len(path) > 1 else str(path[0])
    return str(path or reader.type_name())


def sample_of(reader: Reader, rows: int = 1000) -> Columns:
    """Give the first rows of a source, to find its columns."""
    refused: Refusal | None = None
    for item in reader.read():
        if not isinstance(item, Refusal):
            return {column: values[:rows] for column, values in item.columns.items()}
        refused = refused or item
    source = source_title(reader)
    why = f" (record {refused.place}: {refused.detail})" if refused else ""
    raise DataError(f"{source} has no readable row{why}; is it in the form that `type: {reader.type_name()}` reads?")
