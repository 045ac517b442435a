"""Reader of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from hft_core import DataError, Refusal, Rows
from hft_plugins.readers.compressed import damage_told, open_file
from hft_plugins.readers.source import BATCH, FileReader, first_line

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetReader(FileReader):
    """The rows of a Parquet file, with all columns and their types; a place is the number of the row.

    A group of rows that is damaged is refused as a whole, a text that is no UTF-8 with its row.
    """

    type: Literal["parquet"]

    def read_file(self, path: Path) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals (`damaged-group`, `invalid-utf8`)."""
        stream, _ = open_file(path, self.member)
        with stream, damage_told(path):
            yield from read_parquet(stream, str(path))


def read_parquet(stream: BinaryIO, name: str) -> Iterator[Rows | Refusal]:
    """Read an open Parquet file, group by group; `name` is what messages call it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{name}: this is no Parquet file ({first_line(error)}); get it again, or correct `type:`"
        ) from error
    if not file.metadata.num_rows:
        raise DataError(f"{name}: the file has no row; name a file with at least one")
    done = 0
    for group in range(file.num_row_groups):
        end = done + file.metadata.row_group(group).num_rows
        try:
            for batch in file.iter_batches(BATCH, [group]):
                yield from rows_of(batch, done)
                done += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            detail = f"group {group + 1} of the file's rows cannot be read: {first_line(error)}"
            for place in range(done + 1, end + 1):
                yield Refusal(place, "damaged-group", detail, b"")
            done = end


def rows_of(batch: pa.RecordBatch, before: int) -> Iterator[Rows | Refusal]:
    """Turn a batch into rows, numbered after the `before` earlier ones; one with a text that is no UTF-8 is refused."""
    places = range(before + 1, before + batch.num_rows + 1)
    try:
        yield Rows(batch.to_pydict(), list(places))
        return
    except UnicodeDecodeError:
        pass
    rows: list[dict[str, Any]] = []
    kept: list[int] = []
    for index, place in enumerate(places):
        try:
            rows += batch.slice(index, 1).to_pylist()
            kept.append(place)
        except UnicodeDecodeError as error:
            yield Refusal(place, "invalid-utf8", f"a text is no UTF-8: {error}", bytes(error.object))
    if kept:
        yield Rows({name: [row[name] for row in rows] for name in batch.schema.names}, kept)
