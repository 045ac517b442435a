"""Encoded data on disk: tokenised once, shard by shard, then mapped by every stage and seed that reads it.

A shard is what is in memory at a time: an objective encodes one as a whole, an epoch goes through one after the other,
and no row, window or packed block reaches over the border of two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Columns, Objective, Stream
from hft_core.data.table import ROW, VARIANT, read_shards
from hft_core.errors import DataError, PluginError
from hft_core.runtime.ragged import Arrays, Ragged, concatenated

SHARD_ROWS = 100_000
"""Most rows of a shard."""
SHARD_BYTES = 64 << 20
"""Most bytes of its columns, as they lie in Arrow: UTF-8, and a few bytes a row."""
_SOURCE_STRIDE = 1 << 40  # row numbers of several sources must not meet


def origin(row: int) -> tuple[int, int]:
    """Give the position of a row's source among the objective's, and the line (or record number, from 1) there."""
    source, line = divmod(row, _SOURCE_STRIDE)
    return source, line


def encode_files(objective: Objective, files: Sequence[Path], streams: Sequence[Stream]) -> Iterator[Arrays]:
    """Encode the rows of an objective's sources, one stream description per file; yields a shard at a time.

    Adds to the objective's arrays `row` (number in the source, unique over sources) and `variant`, int64 per
    entry. Raises DataError where there is no entry at all.
    """
    empty = True
    for shard in read_shards(files, SHARD_ROWS, SHARD_BYTES):
        arrays = concatenated([_encoded(objective, columns, streams[at], at) for at, columns in shard.items()])
        if len(arrays["row"]):
            empty = False
            yield arrays
    if empty:
        raise DataError(f"objective {objective.type_name()}: its data ({objective.data}) has no usable row")


def _encoded(objective: Objective, columns: Columns, stream: Stream, source: int) -> Arrays:
    arrays = objective.encode(columns, stream)
    if "row" not in arrays:
        arrays["row"] = np.arange(_entries(arrays, len(columns[ROW]), objective))
    position = np.asarray(arrays["row"])  # in these columns
    arrays["row"] = np.array(columns[ROW], np.int64)[position] + source * _SOURCE_STRIDE
    arrays["variant"] = np.array(columns[VARIANT], np.int64)[position]
    return arrays


def _entries(arrays: Arrays, rows: int, objective: Objective) -> int:
    """The number of entries of arrays that do not say which row each is of: as many as rows."""
    entries = {len(array) for array in arrays.values()}
    if entries != {rows}:
        raise PluginError(
            f"objective {objective.type_name()!r}: its encode() gave arrays of {sorted(entries)} entries for {rows} rows; "
            "where these differ, it has to say with `row` (int64) which row each entry came from"
        )
    return rows


def entry_lengths(arrays: Arrays) -> NDArray[np.int64]:
    """The length of each entry: of its longest ragged array, or 1 where there is none."""
    lengths = [array.lengths for array in arrays.values() if isinstance(array, Ragged)]
    return np.max(lengths, axis=0) if lengths else np.ones(len(arrays["row"]), np.int64)


class Shards(Protocol):
    """The encoded rows of an objective, shard by shard: `Encoded` on disk, or a list in memory."""

    def __len__(self) -> int:
        """Number of shards."""
        ...

    def __getitem__(self, number: int, /) -> Arrays:
        """Give a shard's arrays."""
        ...


class Encoded:
    """Shards in a folder. The one that was asked for last stays mapped, and no other."""

    def __init__(self, folder: Path):
        self._folders = sorted(folder.glob("shard-*"))
        self._last: tuple[int, Arrays] = (-1, {})

    def __len__(self) -> int:
        return len(self._folders)

    def __getitem__(self, number: int) -> Arrays:
        if not 0 <= number < len(self):
            raise IndexError(number)
        if self._last[0] != number:
            self._last = (number, _load(self._folders[number]))
        return self._last[1]

    @staticmethod
    def save(folder: Path, number: int, arrays: Arrays) -> None:
        """Write a shard: each array as .npy, a ragged one as `NAME.values.npy` and `NAME.offsets.npy`."""
        shard = folder / f"shard-{number:06}"
        shard.mkdir()
        for name, array in arrays.items():
            if isinstance(array, Ragged):
                np.save(shard / f"{name}.values.npy", array.values)
                np.save(shard / f"{name}.offsets.npy", array.offsets)
            else:
                np.save(shard / f"{name}.npy", array)


def _load(shard: Path) -> Arrays:
    """Map what `Encoded.save` wrote."""
    arrays: Arrays = {}
    for file in sorted(shard.glob("*.npy")):
        name = file.name.removesuffix(".npy")
        if name.endswith(".offsets"):
            continue
        array = np.asarray(np.load(file, mmap_mode="r"))
        if name.endswith(".values"):
            name = name.removesuffix(".values")
            arrays[name] = Ragged(array, np.load(shard / f"{name}.offsets.npy"))
        else:
            arrays[name] = array
    return arrays
