"""A stage's data at work: encoded rows of each objective, turned into batches of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hft_core.components import Objective, Ramp, Stream
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
        if not objective.needs_task and (out := held_out(arrays)).any():
            held = take(arrays, np.flatnonzero(out))
            arrays = take(arrays, np.flatnonzero(~out))
        order = Order(arrays, batch_size, seed, position)
        return cls(objective, head, context, arrays, order, held, position, seed)

    @property
    def name(self) -> str:
        """The objective's name for logs."""
        return self.objective.name or self.objective.type_name()

    def weight(self, progress: float) -> float:
        """The objective's weight; `progress` goes from 0 to 1 over the stage."""
        weight = self.objective.weight
        return weight.from_ + (weight.to - weight.from_) * progress if isinstance(weight, Ramp) else weight

    def micro_batches(self, index: int, size: int) -> list[Batch]:
        """The batch `index`, in pieces of at most `size` rows of similar length."""
        epoch, entries = self.order.batch(index)
        return [self._make(part, epoch) for part in self._pieces(entries, size)]

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
        names = [self.objective.data] if isinstance(self.objective.data, str) else self.objective.data
        found = [origin(int(row)) for row in np.asarray(self.arrays["row"])[self.order.batch(index)[1]]]
        listed = ", ".join(f"{names[source]} {line}" for source, line in found[:8])
        return f"lines {listed}" + (f" and {len(found) - 8} more" if len(found) > 8 else "")

    def _pieces(self, entries: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
        if len(entries) <= size:
            return [entries]
        entries = entries[np.argsort(self.order.lengths[entries], kind="stable")]
        return np.array_split(entries, -(-len(entries) // size))

    def _make(self, entries: NDArray[np.int64], epoch: int) -> Batch:
        random = RowRandom(key_of(self.seed, "batch", self.position, epoch), entries)
        return self.objective.batch(_inputs(take(self.arrays, entries)), random, self.context)


def _inputs(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if name not in ("row", "variant")}


def tensors(batch: Mapping[str, NDArray[Any]], device: torch.device) -> dict[str, torch.Tensor]:
    """Copy a batch to the device."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in batch.items()}
