"""Variants that are made anew in every epoch, beside training, as functions of seed, epoch and row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Objective, Roles, Stream
from hft_core.data.augmentation import Making
from hft_core.data.table import ROW
from hft_core.runtime.ragged import Arrays, concatenated, take
from hft_core.training.encoding import origin


class Fresh:
    """Makes the variants of rows anew, and encodes them.

    The stored variants serve for the first epochs, and where a row is cut into several windows.
    """

    def __init__(
        self,
        file: Path,
        makings: Sequence[Making],
        roles: Roles,
        seed: int,
        objective: Objective,
        stream: Stream,
    ):
        """`file`: the training rows without variants; `makings`: all augmenters of the recipe, `seed`: the recipe's."""
        import pyarrow as pa

        self._table = pa.ipc.open_stream(pa.memory_map(str(file))).read_all()  # mapped, not in memory
        rows = self._table.column(ROW).to_numpy()
        self._places = np.argsort(rows, kind="stable")
        self._rows = rows[self._places]
        self._roles, self._seed, self._objective, self._stream = roles, seed, objective, stream
        copies = [(making, copy) for making in makings for copy in range(making.augmenter.copies)]
        self._copies: Mapping[int, tuple[Making, int]] = {
            variant: (making, copy) for variant, (making, copy) in enumerate(copies, 1) if making.augmenter.fresh
        }

    def remade(self, arrays: Arrays, epoch: int, alone: NDArray[np.bool_]) -> Arrays:
        """Give entries of an epoch with their fresh variants made anew, in the same order.

        `alone`, bool per entry: whether it is the only one of its row and variant.
        """
        variants, rows = np.asarray(arrays["variant"]), np.asarray(arrays["row"])
        parts, places = [arrays], np.arange(len(rows))
        count = len(rows)
        for variant in np.unique(variants).tolist():
            if variant in self._copies:
                entries = np.flatnonzero((variants == variant) & alone)
                if not len(entries):
                    continue
                made, own = self._made(rows[entries], *self._copies[variant], epoch)
                for line, entry in own.items():
                    places[entries[rows[entries] == line]] = count + entry
                if own:
                    parts.append({name: made[name] for name in arrays})
                    count += len(made["row"])
        return take(concatenated(parts), places) if len(parts) > 1 else arrays

    def _made(self, rows: NDArray[np.int64], making: Making, copy: int, epoch: int) -> tuple[Arrays, dict[int, int]]:
        """Encode new variants of rows; gives the arrays, and the entry of each row that has exactly one."""
        unique = np.unique(rows)
        lines = [origin(int(row))[1] for row in unique]
        columns = self._table.take(self._places[np.searchsorted(self._rows, lines)]).to_pydict()
        made, _ = making.variant(columns, self._roles, self._seed, copy, epoch)
        if not made[ROW]:
            return {}, {}
        arrays = dict(self._objective.encode(made, self._stream))
        position = np.asarray(arrays.get("row", np.arange(len(made[ROW]))))
        by_line = dict(zip(lines, unique.tolist(), strict=True))
        arrays["row"] = np.array([by_line[made[ROW][at]] for at in position], np.int64)
        arrays["variant"] = np.zeros(len(position), np.int64)
        whole, first, times = np.unique(np.asarray(arrays["row"]), return_index=True, return_counts=True)
        return arrays, {int(row): int(at) for row, at, n in zip(whole, first, times, strict=True) if n == 1}
