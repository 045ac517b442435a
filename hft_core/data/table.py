"""Rows in Arrow files: written in batches, read memory-mapped through `datasets`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hft_core.components import Columns
from hft_core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "_row"
"""Column with the line (or record number, from 1) that a row stands in; variants keep their parent's."""
VARIANT = "_variant"
"""Column with 0 for an original row, 1… for augmented ones."""
BATCH = 4096


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
                types[name] = _array(values).type
        if not any(map(_unknown, types.values())):
            break
    return read, pa.schema(types.items())


def _unknown(kind: pa.DataType) -> bool:
    """Whether it is a list of nobody knows what."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) and pa.types.is_null(kind.value_type))


def read_table(path: Path, size: int = BATCH) -> Iterator[Columns]:
    """Yield the rows of a file as batches of columns; nothing where there is no file."""
    if not path.is_file():
        return
    from datasets import Dataset

    for batch in Dataset.from_file(str(path)).iter(size):
        yield dict(batch)


def read_all(path: Path) -> Columns:
    """Give all rows of a file at once, for splits that are small beside the training data."""
    whole: Columns = {}
    for batch in read_table(path):
        for name, values in batch.items():
            whole.setdefault(name, []).extend(values)
    return whole


def count_rows(path: Path) -> int:
    """Number of rows of a file, 0 where there is none."""
    if not path.is_file():
        return 0
    from datasets import Dataset

    return len(Dataset.from_file(str(path)))


def _array(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # values of several types: their text
        array = pa.array([None if value is None else str(value) for value in values])
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _cast(values: list[Any] | None, kind: pa.DataType, name: str) -> pa.Array:
    import pyarrow as pa

    if values is None:
        raise DataError(f"the column {name!r} is missing in a later part of the data")
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    if pa.types.is_string(kind):
        return pa.array([None if value is None else str(value) for value in values])
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        raise DataError(f"the column {name!r} begins with numbers but has other values later; quote its values as text")
    raise DataError(f"the column {name!r} has values that are not of its first rows' type ({kind})")
