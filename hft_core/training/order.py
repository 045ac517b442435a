"""Which rows a step sees: a function of (seed, stream, epoch, shard), so nothing has to be remembered to resume.

An epoch goes through the shards in an order of its own, and through the rows of each in another. What is in memory is a
few numbers per shard, and the index of the one that is being read.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hft_core.runtime.ragged import Arrays
from hft_core.runtime.randomness import RowRandom, generator, key_of
from hft_core.training.encoding import Shards, entry_lengths

_POOL = 50  # batches that are sorted by length together: little padding, and still a random order
_FEWEST_HELD = 200


class Part(NamedTuple):
    """Some rows of one shard, in one epoch."""

    epoch: int
    shard: int
    entries: NDArray[np.int64]
    """Positions in the shard's arrays."""


class Index:
    """What there is to know of a shard's entries to bring them into an order."""

    def __init__(self, arrays: Arrays, held: NDArray[np.bool_]):
        self.held = held
        """Bool per entry: whether it is kept out of training."""
        self.lengths = entry_lengths(arrays)
        """Int64 per entry."""
        self._rows, self._variants = np.asarray(arrays["row"]), np.asarray(arrays["variant"])
        self.cycle = int(self._variants.max(initial=0)) + 1
        """Epochs until the same variants come again."""

    @cached_property
    def alone(self) -> NDArray[np.bool_]:
        """Bool per entry: whether it is the only one of its row and variant."""
        pairs = np.stack([self._rows, self._variants])
        _, of, times = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
        return np.asarray(times[of.reshape(-1)] == 1)

    def entries(self, epoch: int, cycle: int) -> NDArray[np.int64]:
        """The entries of an epoch: variant (epoch mod cycle) of each row, or the original where there is none."""
        variant = epoch % cycle
        own = self._variants == variant
        if variant:
            own |= (self._variants == 0) & ~np.isin(self._rows, self._rows[own])
        return np.flatnonzero(own & ~self.held)

    def longest(self, count: int) -> NDArray[np.int64]:
        """The longest entries of training, whatever their variant."""
        trained = np.flatnonzero(~self.held)
        return trained[np.argsort(self.lengths[trained], kind="stable")[-count:]]


class Order:
    """The batches of one stream, epoch after epoch; each is of one shard."""

    def __init__(self, shards: Shards, batch_size: int, seed: int, stream: int, holds_out: bool = False):
        """With `holds_out`, some rows of each shard are kept out of training (see `held_out`)."""
        self.batch_size = batch_size
        self._shards, self._seed, self._stream, self._holds_out = shards, seed, stream, holds_out
        self._index: tuple[int, Index] | None = None
        self._batches: tuple[tuple[int, int], list[NDArray[np.int64]]] | None = None
        read = range(len(shards) if holds_out else 0)
        self._total = sum(len(np.unique(np.asarray(shards[shard]["row"]))) for shard in read)
        found: list[list[int]] = []  # batches by shard and variant
        self.held = 0
        """Entries that are kept out of training."""
        self.widest = 0
        """The shard with the largest padded batch."""
        largest = -1
        for shard in range(len(shards)):
            index = self.index(shard)
            sizes = [len(index.entries(variant, index.cycle)) for variant in range(index.cycle)]
            found.append([-(-size // batch_size) for size in sizes])
            self.held += int(index.held.sum())
            longest = index.lengths[index.longest(batch_size)]
            if (padded := int(longest.max(initial=0)) * len(longest)) > largest:
                largest, self.widest = padded, shard
        # Epochs repeat with the variants; each may have another number of batches. A shard without a variant gives its
        # originals.
        self.cycle = max(map(len, found), default=1)
        """Epochs until the same variants come again."""
        self._counts = [[own[v] if v < len(own) else own[0] for own in found] for v in range(self.cycle)]
        self._ends = list(accumulate(map(sum, self._counts)))

    def index(self, shard: int) -> Index:
        """The index of a shard; the last one is kept."""
        if self._index is None or self._index[0] != shard:
            arrays = self._shards[shard]
            rows = np.asarray(arrays["row"])
            held = held_out(rows, self._total) if self._holds_out else np.zeros(len(rows), np.bool_)
            self._index = (shard, Index(arrays, held))
        return self._index[1]

    def steps(self, epochs: float) -> int:
        """Number of batches in so many epochs, at least 1."""
        cycles, rest = divmod(epochs, self.cycle)
        whole = int(rest)
        steps = int(cycles) * self._ends[-1] + (self._ends[whole - 1] if whole else 0)
        following = self._ends[whole] - (self._ends[whole - 1] if whole else 0)
        return max(1, steps + round((rest - whole) * following))

    def place(self, index: int) -> tuple[int, int]:
        """Epoch of the batch `index`, counted from the beginning, and its position in that epoch."""
        cycle, within = divmod(index, self._ends[-1])
        epoch = bisect_right(self._ends, within)
        return cycle * self.cycle + epoch, within - (self._ends[epoch - 1] if epoch else 0)

    def batch(self, index: int) -> Part:
        """Give the batch `index`."""
        epoch, position = self.place(index)
        shards = self.shards(epoch)
        ends = list(accumulate(self._counts[epoch % self.cycle][shard] for shard in shards))
        turn = bisect_right(ends, position)
        batches = self.batches(epoch, shards[turn])
        return Part(epoch, shards[turn], batches[position - (ends[turn - 1] if turn else 0)])

    def last_of_epoch(self, index: int) -> bool:
        """Whether the batch `index` ends its epoch."""
        return self.place(index + 1)[0] != self.place(index)[0]

    def shards(self, epoch: int) -> list[int]:
        """The shards in the order of an epoch."""
        shuffled: list[int] = (
            generator(self._seed, "shards", self._stream, epoch).permutation(len(self._shards)).tolist()
        )
        return shuffled

    def batches(self, epoch: int, shard: int) -> list[NDArray[np.int64]]:
        """The batches of a shard in an epoch; the last ones are kept, and are the same whenever they are made again."""
        if self._batches is None or self._batches[0] != (epoch, shard):
            self._batches = ((epoch, shard), self._shuffled(epoch, shard))
        return self._batches[1]

    def _shuffled(self, epoch: int, shard: int) -> list[NDArray[np.int64]]:
        """Shuffle, sort by length within pools, cut into batches, shuffle the batches."""
        random = generator(self._seed, "order", self._stream, epoch, shard)
        index = self.index(shard)
        entries = random.permutation(index.entries(epoch, self.cycle))
        pool = self.batch_size * _POOL
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(entries), pool):
            part = entries[start : start + pool]
            part = part[np.argsort(index.lengths[part], kind="stable")]
            batches += [part[cut : cut + self.batch_size] for cut in range(0, len(part), self.batch_size)]
        return [batches[position] for position in random.permutation(len(batches))]


def held_out(rows: NDArray[np.int64], total: int | None = None) -> NDArray[np.bool_]:
    """Choose rows of a shard of text for the held-out loss, by a hash of their numbers; bool per entry.

    1 % of the rows, and at least 200 of the `total` over all shards (default: this is the only one), but never more than a
    tenth: a small corpus is needed for training.
    """
    unique = np.unique(rows)
    share = max(0.01, _FEWEST_HELD / max(1, total or len(unique)))
    wanted = min(math.ceil(round(len(unique) * share, 6)), len(unique) // 10)
    scores = RowRandom(key_of("held-out"), unique).uniform(1)[:, 0]
    return np.isin(rows, unique[np.argsort(scores, kind="stable")[:wanted]])
