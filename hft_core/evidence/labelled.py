"""New labelled rows, as a bundle's task reads them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hft_core.components import Columns, Facts, Reader, Task
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.reading import read_source, sample_of, source_title
from hft_core.data.table import ROW
from hft_core.errors import DataError

_SOURCE = "evaluate"
"""What the new rows are called where sources have names."""


def read_labelled(task: Task, reader: Reader, ledger: Ledger, slices: Sequence[str]) -> Columns:
    """Give the usable rows, all at once, with the columns `slices`; the others are counted in the ledger.

    Raises DataError where a column is missing, or too many rows are bad.
    """
    wanted = list(dict.fromkeys((*task.roles().columns, *slices)))
    _require(wanted, task, reader, slices)
    columns: Columns = {name: [] for name in (*wanted, ROW)}
    with Quarantine(Path(os.devnull)) as nowhere:
        try:
            for batch in read_source(reader, _SOURCE, ledger, nowhere, wanted, task.refusals, task.arrange):
                for name in columns:
                    columns[name] += batch[name]
        except DataError as error:  # there is no recipe with such a place
            raise DataError(str(error).removeprefix(f"data.{_SOURCE}: ")) from error
    return columns


def _require(wanted: Sequence[str], task: Task, reader: Reader, slices: Sequence[str]) -> None:
    """Raise DataError for a column that the rows lack, and say who asks for it."""
    file = source_title(reader)
    try:
        there = task.arrange(sample_of(reader))
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    for column in wanted:
        if column not in there:
            by_task = column in task.roles().columns
            who = "which the bundle's task reads" if by_task else "which --slice names"
            advice = "rename the one that is meant" if by_task else "give one of them"
            raise DataError(f"{file} has no column {column!r}, {who}; its columns are {', '.join(there)}: {advice}")


def with_known_labels(columns: Columns, task: Task, facts: Facts) -> tuple[Columns, Counter[str]]:
    """Give the rows whose labels the training rows had; and the others' labels, which no model could have given, counted."""
    try:
        task.truths(columns, facts)
        return columns, Counter()
    except DataError:  # it says so of all rows together: ask for each label
        target = task.roles().target
    labels = list(map(_shown, zip(*(columns[name] for name in target), strict=True)))
    unknown = Counter(labels)
    for label, place in dict(zip(reversed(labels), range(len(labels) - 1, -1, -1), strict=True)).items():
        with suppress(DataError):
            task.truths({name: [values[place]] for name, values in columns.items()}, facts)
            del unknown[label]
    places = [place for place, label in enumerate(labels) if label not in unknown]
    return {name: [values[place] for place in places] for name, values in columns.items()}, unknown


def _shown(values: tuple[Any, ...]) -> str:
    """The target of a row in words, which tell it from others."""
    return str(values[0] if len(values) == 1 else list(values))
