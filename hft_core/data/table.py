"""Rows in Arrow files: written and read in batches, so that a file of any size takes the memory of a few of them.

The files are read, not memory-mapped: mapped pages count as memory of the process for as long as the file is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Columns
from hft_core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "_row"
"""Column with the line (or record number, from 1) that a row stands in; variants keep their parent's."""
VARIANT = "_variant"
"""Column with 0 for an original row, 1… for augmented ones."""
BATCH = 4096
"""Rows that are in memory together where they are read one batch after the other."""


def write_table(path: Path, batches: Iterable[Columns]) -> int:
    """Write batches with the same columns as one Arrow stream file; gives the number of rows (none: no file)."""
    import pyarrow as pa

    batches = iter(batches)
    first, schema = _typed(batches)
    if not first:
        return 0
    rows = 0
    with path.open("wb") as stream, pa.ipc.new_stream(stream, schema) as writer:
        for columns in chain(first, batches):
            arrays = [_cast(columns.get(name), schema.field(name).type, name) for name in schema.names]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            rows += len(next(iter(columns.values())))
    return rows


def _typed(batches: Iterator[Columns]) -> tuple[list[Columns], pa.Schema]:
    """Read until every column's type is known: that of a list shows with the first one that is not empty."""
    import pyarrow as pa

    read: list[Columns] = []
    types: dict[str, pa.DataType] = {}
    for columns in batches:
        read.append(columns)
        for name, values in columns.items():
            if name not in types or _unknown(types[name]):
                types[name] = as_array(values).type
        if not any(map(_unknown, types.values())):
            break
    return read, pa.schema(types.items())


def _unknown(kind: pa.DataType) -> bool:
    """Whether it is a list of nobody knows what."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) and pa.types.is_null(kind.value_type))


def read_table(path: Path, size: int | None = None) -> Iterator[Columns]:
    """Yield the rows of a file as batches of `size` rows, by default `BATCH`; nothing where there is no file."""
    import pyarrow as pa

    size = size or BATCH
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in _record_batches(path):
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= size:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, size).to_pydict()
            waiting, rows = table.slice(size).to_batches(), rows - size
    if rows:
        yield pa.Table.from_batches(waiting).to_pydict()


def read_columns(path: Path, names: Sequence[str]) -> Iterator[Columns]:
    """Yield some columns of a file, batch by batch; nothing where there is no file."""
    for batch in _record_batches(path):
        yield batch.select(list(names)).to_pydict()


def only(file: Path, wanted: NDArray[np.bool_]) -> Iterator[Columns]:
    """Yield some of the rows of a file: those whose place `wanted` marks."""
    position = 0
    for columns in read_table(file):
        count = len(columns[ROW])
        kept = np.flatnonzero(wanted[position : position + count]).tolist()
        position += count
        if kept:
            yield {name: [values[index] for index in kept] for name, values in columns.items()}


def read_shards(paths: Sequence[Path], rows: int, size: int) -> Iterator[dict[int, Columns]]:
    """Yield the rows of several files, one after the other, in shards of at most `rows` rows and `size` bytes.

    A shard is columns by the position of their file: it may hold the end of one file and the beginning of the next. It
    consists of whole batches as they were written, so one batch that is larger is a larger shard, and a row's variants
    stay with their original.
    """
    shard: dict[int, list[pa.RecordBatch]] = {}
    rows_in = bytes_in = 0
    for position, path in enumerate(paths):
        for batch in _record_batches(path):
            full = rows_in + batch.num_rows > rows or bytes_in + batch.nbytes > size
            if shard and full and not _begins_with_variant(batch):
                yield _by_file(shard)
                shard, rows_in, bytes_in = {}, 0, 0
            shard.setdefault(position, []).append(batch)
            rows_in, bytes_in = rows_in + batch.num_rows, bytes_in + batch.nbytes
    if shard:
        yield _by_file(shard)


def _begins_with_variant(batch: pa.RecordBatch) -> bool:
    return bool(batch.num_rows) and batch.column(VARIANT)[0].as_py() != 0


def _by_file(shard: dict[int, list[pa.RecordBatch]]) -> dict[int, Columns]:
    import pyarrow as pa

    return {position: pa.Table.from_batches(batches).to_pydict() for position, batches in shard.items()}


def _record_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a file as they were written; nothing where there is no file."""
    if not path.is_file():
        return
    import pyarrow as pa

    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
        yield from stream


def read_all(path: Path) -> Columns:
    """Give all rows of a file at once, for splits that are small beside the training data."""
    whole: Columns = {}
    for batch in read_table(path):
        for name, values in batch.items():
            whole.setdefault(name, []).extend(values)
    return whole


def count_rows(path: Path) -> int:
    """Number of rows of a file, 0 where there is none."""
    return sum(batch.num_rows for batch in _record_batches(path))


def as_array(values: list[Any] | pa.Array) -> pa.Array:
    """Give a column as an Arrow array, whose type shows in the values; several types become text."""
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # values of several types: their text
        array = pa.array([None if value is None else str(value) for value in values])
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _cast(values: list[Any] | pa.Array | None, kind: pa.DataType, name: str) -> pa.Array:
    import pyarrow as pa

    if values is None:
        raise DataError(f"the column {name!r} is missing in a later part of the data")
    if isinstance(values, pa.Array):
        if values.type == kind:
            return values
        values = values.to_pylist()
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    if pa.types.is_string(kind):
        return pa.array([None if value is None else str(value) for value in values])
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        raise DataError(f"the column {name!r} begins with numbers but has other values later; quote its values as text")
    raise DataError(f"the column {name!r} has values that are not of its first rows' type ({kind})")
