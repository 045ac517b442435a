"""Ragged: rows of different lengths as one flat array, the form in which token ids are kept.

Imports only numpy: this runs at predict time, and in the training loop without per-row Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Ragged:
    """Rows of different lengths: row i is values[offsets[i]:offsets[i+1]]. ``values`` [total, …], ``offsets`` int64."""

    __slots__ = ("offsets", "values")

    def __init__(self, values: NDArray[Any], offsets: NDArray[np.int64]):
        self.values = values
        self.offsets = offsets

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int]], dtype: Any = np.int32) -> Ragged:
        """Make one of lists of numbers."""
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        values = np.fromiter((value for row in rows for value in row), dtype, int(offsets[-1]))
        return cls(values, offsets)

    @classmethod
    def from_padded(cls, matrix: NDArray[Any], mask: NDArray[Any]) -> Ragged:
        """Make one of what `matrix` [rows, width, …] holds where `mask` [rows, width] is not 0; undoes `padded`."""
        kept = mask.astype(bool)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept.sum(axis=1, dtype=np.int64))])
        return cls(matrix[kept], offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each row, int64 [rows]."""
        return np.diff(self.offsets)

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """Give the named rows, in that order, as a new Ragged."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Ragged(self.values[np.repeat(starts, lengths) + within], offsets)

    def mask(self, width: int | None = None, side: str = "right") -> NDArray[np.bool_]:
        """True where a padded matrix [rows, width] holds a value; `width` defaults to the longest row (at least 1)."""
        lengths = self.lengths
        if width is None:
            width = max(int(lengths.max(initial=0)), 1)
        columns = np.arange(width)
        if side == "left":
            return columns[None, :] >= width - lengths[:, None]
        return columns[None, :] < lengths[:, None]

    def padded(
        self, fill: int | float, width: int | None = None, side: str = "right", dtype: Any = None
    ) -> NDArray[Any]:
        """Give the matrix [rows, width], `fill` where a row has no value."""
        mask = self.mask(width, side)
        matrix = np.full(mask.shape, fill, dtype or self.values.dtype)
        matrix[mask] = self.values
        return matrix


Arrays = dict[str, "NDArray[Any] | Ragged"]
"""Named arrays with one entry per row each; what a task or objective makes of a batch of columns."""


def take(arrays: Arrays, rows: NDArray[np.int64]) -> Arrays:
    """Give the named rows of every array."""
    return {name: array.take(rows) if isinstance(array, Ragged) else array[rows] for name, array in arrays.items()}


def concatenated(parts: Sequence[Arrays]) -> Arrays:
    """Put arrays of several batches behind one another."""
    if len(parts) == 1:
        return parts[0]
    result: Arrays = {}
    for name, first in parts[0].items():
        if isinstance(first, Ragged):
            ragged = [part[name] for part in parts]
            lengths = np.concatenate([piece.lengths for piece in ragged])  # type: ignore[union-attr]  # same name, same form
            offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
            result[name] = Ragged(np.concatenate([piece.values for piece in ragged]), offsets)  # type: ignore[union-attr]  # as above
        else:
            result[name] = np.concatenate([part[name] for part in parts])
    return result
