"""The columns by which the report divides the rows that it measures; nothing that is trained depends on them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.components import Columns, Reader, Task
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.prepared import Prepared, bound_task
from hft_core.data.reading import read_source, sample_of, source_title
from hft_core.data.table import ROW, read_all, read_table, write_table
from hft_core.errors import DataError
from hft_core.pipeline.steps.common import Folders, Process, TaskPlace

_FILE = "slices.arrow"


def slices_step(
    place: TaskPlace, task: Task, reader: Reader, source: str, split: str, columns: Sequence[str],
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Keep `columns` of a split's rows, each with the row's number in the `source` that it was read from.

    Raises DataError where the source lacks one.
    """
    found = sample_of(reader)
    if missing := [column for column in columns if column not in found]:
        raise DataError(
            f"data.{source}: {source_title(reader)} has no column {missing[0]!r}, which `evaluate.slices` names; its columns "
            f"are {', '.join(found)}"
        )
    known = bound_task(task, Prepared.load(inputs[place.nodes["train"]]))
    measured = Prepared.load(inputs[place.nodes[split]]).file(split)
    rows = np.array([row for batch in read_table(measured) for row in batch[ROW]], np.int64)
    wanted = list(dict.fromkeys((*known.roles().columns, *columns)))
    with Quarantine(Path(os.devnull)) as nowhere:  # the preparation of these rows has what was refused
        read = read_source(reader, source, Ledger(), nowhere, wanted, arrange=known.arrange)
        write_table(out / _FILE, _only(read, rows, [*columns, ROW]))


def _only(batches: Iterator[Columns], rows: Any, names: Sequence[str]) -> Iterator[Columns]:
    """Some columns of the rows with these numbers."""
    for batch in batches:
        kept = np.flatnonzero(np.isin(np.array(batch[ROW], np.int64), rows)).tolist()
        if kept:
            yield {name: [batch[name][index] for index in kept] for name in dict.fromkeys(names)}


def read_slices(folder: Path, rows: Sequence[int]) -> Columns:
    """What `slices_step` has kept, in the order of these rows."""
    kept = read_all(folder / _FILE)
    places = {row: place for place, row in enumerate(kept.pop(ROW))}
    return {name: [values[places[row]] for row in rows] for name, values in kept.items()}
