"""A stage's data at work: encoded rows of each objective, turned into batches of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Objective, Ramp, Stream
from hft_core.recipe.sources import source_names
from hft_core.runtime.ragged import Arrays, take
from hft_core.runtime.randomness import RowRandom, key_of
from hft_core.training.encoding import origin
from hft_core.training.order import Order, held_out

Batch = dict[str, NDArray[Any]]


@dataclass
class LiveStream:
    """One objective with its data."""

    objective: Objective
    head: str
    """Name of its head in the net."""
    context: Stream
    arrays: Arrays
    order: Order
    held: Arrays | None
    """Rows kept out of training to measure its loss; None for a task, which has its validation split."""
    position: int
    seed: int

    @classmethod
    def open(
        cls, objective: Objective, head: str, context: Stream, arrays: Arrays, batch_size: int, position: int, seed: int
    ) -> LiveStream:
        """Set held-out rows aside and make the order of the others."""
        held = None
        if objective.task is None and (out := held_out(arrays)).any():
            held = take(arrays, np.flatnonzero(out))
            arrays = take(arrays, np.flatnonzero(~out))
        order = Order(arrays, batch_size, seed, position)
        return cls(objective, head, context, arrays, order, held, position, seed)

    @property
    def name(self) -> str:
        """The objective's name for logs."""
        return self.objective.title

    def weight(self, progress: float) -> float:
        """The objective's weight; `progress` goes from 0 to 1 over the stage."""
        weight = self.objective.weight
        return weight.from_ + (weight.to - weight.from_) * progress if isinstance(weight, Ramp) else weight

    def micro_batches(self, index: int, size: int, process: int = 0, processes: int = 1) -> list[tuple[int, Batch]]:
        """The batch `index`, in numbered pieces of at most `size` rows of similar length: those of one of the processes."""
        epoch, entries = self.order.batch(index)
        pieces = self._pieces(entries, size, processes)
        return [(piece, self._make(pieces[piece], epoch)) for piece in range(process, len(pieces), processes)]

    def longest_batch(self, size: int) -> Batch:
        """The micro-batch with the longest rows of all: what does not fit shows on it first."""
        longest = np.argsort(self.order.lengths, kind="stable")[-min(size, self.order.batch_size) :]
        return self._make(longest, epoch=0)

    def held_out_batches(self, size: int) -> Iterator[Batch]:
        """The held-out rows with the same masks every time."""
        if self.held is None:
            return
        count = len(self.held["row"])
        for start in range(0, count, size):
            rows = np.arange(start, min(start + size, count))
            random = RowRandom(key_of(self.seed, "held-out", self.position), rows)
            yield self.objective.batch(_inputs(take(self.held, rows)), random, self.context)

    def rows(self, index: int) -> str:
        """Name the first rows of the batch `index`, for error messages."""
        names = source_names(self.objective)
        found = [origin(int(row)) for row in np.asarray(self.arrays["row"])[self.order.batch(index)[1]]]
        listed = ", ".join(f"{names[source]} {line}" for source, line in found[:8])
        return f"lines {listed}" + (f" and {len(found) - 8} more" if len(found) > 8 else "")

    def _pieces(self, entries: NDArray[np.int64], size: int, processes: int) -> list[NDArray[np.int64]]:
        """As many pieces as are needed, and as many for each process as far as the rows go."""
        count = -(-len(entries) // size)
        count = min(-(-count // processes) * processes, len(entries))
        if count == 1:
            return [entries]
        entries = entries[np.argsort(self.order.lengths[entries], kind="stable")]
        return np.array_split(entries, count)

    def _make(self, entries: NDArray[np.int64], epoch: int) -> Batch:
        random = RowRandom(key_of(self.seed, "batch", self.position, epoch), entries)
        return self.objective.batch(_inputs(take(self.arrays, entries)), random, self.context)


def _inputs(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if name not in ("row", "variant")}
