"""Names for labels that are numbers in the data: 0- or 1-based."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from hft_core.components import LabelNames, Refusal, Rows
from hft_core.errors import DataError


def named(read: Callable[[], Iterator[Rows | Refusal]], labels: LabelNames) -> Iterator[Rows | Refusal]:
    """Read with names in place of the numbers of a column; a value that is neither number nor name is refused.

    Where the recipe does not say what the first number is, the source is read until it shows. Raises DataError where
    the column is missing, where there are no names, or where the first number does not show.
    """
    names = _names(labels)
    first = labels.first if labels.first is not None else _first(read(), labels.column, len(names))
    name_of: dict[int | None, str] = dict(enumerate(names, first))
    known = set(names)
    for item in read():
        if isinstance(item, Refusal):
            yield item
            continue
        values = _column(item, labels.column)
        found = [value if value in known else name_of.get(_number(value)) for value in map(_plain, values)]
        kept = [index for index, name in enumerate(found) if name is not None]
        for index in sorted(set(range(len(found))) - set(kept)):
            row = {column: cells[index] for column, cells in item.columns.items()}
            detail = f"{labels.column} is {str(values[index])[:60]!r}, expected {first} to {first + len(names) - 1} or a name"
            raw = json.dumps(row, ensure_ascii=False, default=str).encode(errors="backslashreplace")
            yield Refusal(item.places[index] - item.before, "label-without-name", detail, raw, item.file)
        if kept:
            columns = {column: [cells[index] for index in kept] for column, cells in item.columns.items()}
            columns[labels.column] = [found[index] for index in kept]
            yield replace(item, columns=columns, places=[item.places[index] for index in kept])


def _names(labels: LabelNames) -> list[str]:
    if not isinstance(labels.names, Path):
        names, where = labels.names, "labels.names"
    else:
        where = str(labels.names)
        try:
            names = [line.strip() for line in labels.names.read_text("utf-8-sig").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{where}: the names of labels cannot be read: {error}; write one name a line, in UTF-8"
            ) from error
    if len(set(names)) < len(names) or not names:
        found = "a name twice" if names else "no name"
        raise DataError(f"{where} has {found}; write each label's name once, in the order of the numbers")
    return names


def _first(items: Iterator[Rows | Refusal], column: str, names: int) -> int:
    """Find whether numbers begin with 0 or 1: 0 where one is 0, 1 where one is the number of names."""
    for item in items:
        if isinstance(item, Rows):
            numbers = set(map(_number, map(_plain, _column(item, column))))
            if 0 in numbers:
                return 0
            if names in numbers:
                return 1
    raise DataError(
        f"labels: column {column!r} has neither 0 nor {names}, so it does not show whether the {names} names are counted "
        "from 0 or 1; write `first: 0` or `first: 1` under `labels`"
    )


def _column(rows: Rows, name: str) -> list[object]:
    if name not in rows.columns:
        raise DataError(f"labels: there is no column {name!r}; the columns are {', '.join(rows.columns)}")
    return rows.columns[name]


def _plain(value: object) -> str:
    return "" if value is None else str(value).strip()


def _number(value: str) -> int | None:
    """A whole number, perhaps written as 1.0; None for anything else."""
    whole = value.removesuffix(".0")
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 10 else None
