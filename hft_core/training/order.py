"""Which rows a step sees: a function of (seed, stream, epoch), so nothing has to be remembered to resume."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from hft_core.runtime.ragged import Arrays, Ragged
from hft_core.runtime.randomness import generator, key_of

_POOL = 50  # batches that are sorted by length together: little padding, and still a random order


class Order:
    """The batches of one stream, epoch after epoch."""

    def __init__(self, arrays: Arrays, batch_size: int, seed: int, stream: int):
        self.batch_size = batch_size
        self._seed, self._stream = seed, stream
        self._rows, self._variants = np.asarray(arrays["row"]), np.asarray(arrays["variant"])
        lengths = [array.lengths for array in arrays.values() if isinstance(array, Ragged)]
        self.lengths = np.max(lengths, axis=0) if lengths else np.ones(len(self._rows), np.int64)
        self._cycle = int(self._variants.max(initial=0)) + 1
        self._current: tuple[int, list[NDArray[np.int64]]] = (-1, [])
        # Epochs repeat with the variants; each may have another number of batches.
        counts = [-(-len(self.entries(epoch)) // batch_size) for epoch in range(self._cycle)]
        self._ends = list(accumulate(counts))

    def entries(self, epoch: int) -> NDArray[np.int64]:
        """The entries of an epoch: variant (epoch mod variants) of each row, or the original where there is none."""
        variant = epoch % self._cycle
        if variant == 0:
            return np.flatnonzero(self._variants == 0)
        own = self._variants == variant
        return np.flatnonzero(own | ((self._variants == 0) & ~np.isin(self._rows, self._rows[own])))

    def steps(self, epochs: float) -> int:
        """Number of batches in so many epochs, at least 1."""
        cycles, rest = divmod(epochs, self._cycle)
        whole = int(rest)
        steps = int(cycles) * self._ends[-1] + (self._ends[whole - 1] if whole else 0)
        following = self._ends[whole] - (self._ends[whole - 1] if whole else 0)
        return max(1, steps + round((rest - whole) * following))

    def place(self, index: int) -> tuple[int, int]:
        """Epoch of the batch `index`, counted from the beginning, and its position in that epoch."""
        cycle, within = divmod(index, self._ends[-1])
        epoch = bisect_right(self._ends, within)
        return cycle * self._cycle + epoch, within - (self._ends[epoch - 1] if epoch else 0)

    def batch(self, index: int) -> tuple[int, NDArray[np.int64]]:
        """Give epoch and entries of the batch `index`."""
        epoch, position = self.place(index)
        return epoch, self._epoch(epoch)[position]

    def last_of_epoch(self, index: int) -> bool:
        """Whether the batch `index` ends its epoch."""
        return self.place(index + 1)[0] != self.place(index)[0]

    def _epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of an epoch; the current one is kept, and is the same whenever it is made again."""
        if self._current[0] != epoch:
            self._current = (epoch, self.shuffled(epoch))
        return self._current[1]

    def shuffled(self, epoch: int) -> list[NDArray[np.int64]]:
        """Shuffle, sort by length within pools, cut into batches, shuffle the batches."""
        random = generator(self._seed, "order", self._stream, epoch)
        entries = random.permutation(self.entries(epoch))
        pool = self.batch_size * _POOL
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(entries), pool):
            part = entries[start : start + pool]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches += [part[cut : cut + self.batch_size] for cut in range(0, len(part), self.batch_size)]
        return [batches[index] for index in random.permutation(len(batches))]


def held_out(arrays: Arrays) -> NDArray[np.bool_]:
    """Choose rows of a text stream for its held-out loss, by a hash of their number.

    1 % of the rows, at least 200, but never more than a tenth: a small corpus is needed for training.
    """
    rows = np.unique(np.asarray(arrays["row"]))
    wanted = min(max(round(0.01 * len(rows)), 200), len(rows) // 10)
    scores = np.array([key_of("held-out", int(row)) for row in rows], np.uint64)
    chosen = rows[np.argsort(scores, kind="stable")[:wanted]]
    return np.isin(np.asarray(arrays["row"]), chosen)
