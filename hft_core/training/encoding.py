"""Encoded data on disk: tokenised once, then memory-mapped by every stage and seed that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hft_core.components import Objective, Stream
from hft_core.data.table import ROW, VARIANT, read_table
from hft_core.errors import DataError, PluginError
from hft_core.runtime.ragged import Arrays, Ragged, concatenated

_SOURCE_STRIDE = 1 << 40  # row numbers of several sources must not meet


def origin(row: int) -> tuple[int, int]:
    """Give the position of a row's source among the objective's, and the line (or record number, from 1) there."""
    source, line = divmod(row, _SOURCE_STRIDE)
    return source, line


def encode_files(objective: Objective, files: Sequence[Path], streams: Sequence[Stream]) -> Arrays:
    """Encode the rows of an objective's sources, one stream description per file.

    Adds to the objective's arrays `row` (number in the source, unique over sources) and `variant`, int64 per
    entry.
    """
    parts: list[Arrays] = []
    for source, (file, stream) in enumerate(zip(files, streams, strict=True)):
        for columns in read_table(file):
            arrays = objective.encode(columns, stream)
            if "row" not in arrays:
                arrays["row"] = np.arange(_entries(arrays, len(columns[ROW]), objective))
            position = np.asarray(arrays["row"])  # in this batch
            arrays["row"] = np.array(columns[ROW], np.int64)[position] + source * _SOURCE_STRIDE
            arrays["variant"] = np.array(columns[VARIANT], np.int64)[position]
            parts.append(arrays)
    if not parts or not sum(len(part["row"]) for part in parts):
        raise DataError(f"objective {objective.type_name()}: its data ({objective.data}) has no usable row")
    return concatenated(parts)


def _entries(arrays: Arrays, rows: int, objective: Objective) -> int:
    """The number of entries of arrays that do not say which row each is of: as many as rows."""
    entries = {len(array) for array in arrays.values()}
    if entries != {rows}:
        raise PluginError(
            f"objective {objective.type_name()!r}: its encode() gave arrays of {sorted(entries)} entries for {rows} rows; "
            "where these differ, it has to say with `row` (int64) which row each entry came from"
        )
    return rows


def save_arrays(arrays: Arrays, folder: Path) -> None:
    """Write each array as .npy; a ragged one as `NAME.values.npy` and `NAME.offsets.npy`."""
    for name, array in arrays.items():
        if isinstance(array, Ragged):
            np.save(folder / f"{name}.values.npy", array.values)
            np.save(folder / f"{name}.offsets.npy", array.offsets)
        else:
            np.save(folder / f"{name}.npy", array)


def load_arrays(folder: Path) -> Arrays:
    """Read what `save_arrays` wrote, memory-mapped."""
    arrays: Arrays = {}
    for file in sorted(folder.glob("*.npy")):
        name = file.name.removesuffix(".npy")
        if name.endswith(".offsets"):
            continue
        values = np.load(file, mmap_mode="r")
        if name.endswith(".values"):
            name = name.removesuffix(".values")
            arrays[name] = Ragged(values, np.load(folder / f"{name}.offsets.npy"))
        else:
            arrays[name] = np.asarray(values)
    return arrays
