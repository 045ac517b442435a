"""Reading sources: each record becomes a row with a number, or goes to the quarantine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from hft_core.components import Columns, Reader, Refusal
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
) -> Iterator[Columns]:
    """Yield the `wanted` columns of a source's rows, and each row's line; `refusals` says why a row cannot be used.

    Raises DataError where no row is left, or where a column has a name that hft needs for itself.
    """
    if taken := {ROW, VARIANT} & set(wanted):
        raise DataError(f"data.{name}: a column is called {taken.pop()!r}, which hft uses itself; rename it")
    file = str(getattr(reader, "path", reader.type_name()))
    for item in reader.read():
        if isinstance(item, Refusal):
            ledger.read += 1
            ledger.quarantined[item.reason] += 1
            quarantine.add(Path(file).name, item.place, reader.type_name(), item.reason, item.detail, item.raw)
            continue
        count = len(item.places)
        columns = {name: [_sound(value) for value in item.columns[name]] for name in wanted}
        columns[ROW] = list(item.places)
        ledger.read += count
        reasons = refusals(columns) if refusals else [None] * count
        for index, reason in enumerate(reasons):
            if reason:
                code, _, detail = reason.partition(": ")
                ledger.quarantined[code] += 1
                row = {column: values[index] for column, values in columns.items() if column != ROW}
                raw = json.dumps(row, ensure_ascii=False, default=str)
                quarantine.add(Path(file).name, item.places[index], "task", code, detail or code.replace("-", " "), raw)
        kept = [index for index, reason in enumerate(reasons) if reason is None]
        if kept:
            yield {column: [values[index] for index in kept] for column, values in columns.items()}
    if ledger.kept == 0:
        reasons_found = ", ".join(f"{reason}: {count}" for reason, count in ledger.quarantined.items())
        raise DataError(f"data.{name}: {file} has no usable row ({reasons_found or 'it is empty'})")


def _sound(value: object) -> object:
    """Text without lone surrogates, which no tokenizer and no Arrow column takes."""
    return _LONE_SURROGATE.sub("\ufffd", value) if isinstance(value, str) and not value.isascii() else value


def sample_of(reader: Reader, rows: int = 1000) -> Columns:
    """Give the first rows of a source, to find its columns."""
    refused: Refusal | None = None
    for item in reader.read():
        if not isinstance(item, Refusal):
            return {column: values[:rows] for column, values in item.columns.items()}
        refused = refused or item
    source = getattr(reader, "path", reader.type_name())
    why = f" (record {refused.place}: {refused.detail})" if refused else ""
    raise DataError(f"{source} has no readable row{why}; is it in the form that `type: {reader.type_name()}` reads?")
