"""A stage's data at work: encoded rows of each objective, turned into batches of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Objective, Ramp, Stream
from hft_core.data.folds import SECOND
from hft_core.recipe.sources import source_names
from hft_core.runtime.batching import cuts
from hft_core.runtime.ragged import Arrays, take
from hft_core.runtime.randomness import RowRandom, key_of
from hft_core.training.encoding import Shards, origin
from hft_core.training.fresh import Fresh
from hft_core.training.order import Order, Part

Batch = dict[str, NDArray[Any]]


@dataclass
class LiveStream:
    """One objective with its data."""

    objective: Objective
    head: str
    """Name of its head in the net."""
    context: Stream
    shards: Shards
    order: Order
    position: int
    seed: int
    fresh: Fresh | None = None
    """Makes variants anew, where the recipe has `fresh` augmenters."""
    most: int | None = None
    """Tokens of a piece of a batch, padding included, at most, as far as it has several rows; None: any number."""

    @classmethod
    def open(
        cls, objective: Objective, head: str, context: Stream, shards: Shards, batch_size: int, position: int, seed: int,
        fresh: Fresh | None = None, most: int | None = None,
    ) -> LiveStream:  # fmt: skip
        """Make the order of the rows; some are held out for an objective that has no task's validation split."""
        order = Order(shards, batch_size, seed, position, holds_out=objective.task is None)
        return cls(objective, head, context, shards, order, position, seed, fresh, most)

    @property
    def name(self) -> str:
        """The objective's name for logs."""
        return self.objective.title

    def weight(self, progress: float) -> float:
        """The objective's weight; `progress` goes from 0 to 1 over the stage."""
        weight = self.objective.weight
        return weight.from_ + (weight.to - weight.from_) * progress if isinstance(weight, Ramp) else weight

    def tokens(self) -> NDArray[np.int64] | None:
        """The rows of the embedding layer that its batches can ask for; None: any."""
        if self.fresh:
            return None  # nobody knows what later variants bring
        found: list[NDArray[np.int64]] = []
        for shard in range(len(self.shards)):
            tokens = self.objective.tokens(self.shards[shard], self.context)
            if tokens is None:
                return None
            found.append(tokens)
        return np.unique(np.concatenate(found))

    def micro_batches(self, index: int, size: int) -> list[tuple[int, Batch]]:
        """The batch `index`, in numbered pieces of at most `size` rows of similar length."""
        return [(number, self.made(piece)) for number, piece in enumerate(self.pieces(index, size))]

    def pieces(self, index: int, size: int, multiple: int = 1) -> list[Part]:
        """The pieces of the batch `index`, before they are made; as far as its rows go, a multiple of so many."""
        whole = self.order.batch(index)
        entries = whole.entries
        lengths = self.order.index(whole.shard).lengths[entries]
        order = np.argsort(lengths, kind="stable")
        count = len(cuts(lengths[order], size, self.most))
        wanted = min(-(-count // multiple) * multiple, len(entries))  # as many for each process
        if wanted == 1:
            return [whole]
        if self.most is None:
            parts = np.array_split(order, wanted)
        else:
            parts = [order[cut] for cut in cuts(lengths[order], size, self.most)]
            while len(parts) < wanted:
                largest = max(range(len(parts)), key=lambda place: len(parts[place]))
                parts[largest : largest + 1] = np.array_split(parts[largest], 2)
        return [whole._replace(entries=entries[part]) for part in parts]

    def made(self, part: Part) -> Batch:
        """The arrays of some rows."""
        random = RowRandom(key_of(self.seed, "batch", self.position, part.epoch, part.shard), part.entries)
        arrays = take(self.shards[part.shard], part.entries)
        if self.fresh and part.epoch >= self.order.cycle:
            arrays = self.fresh.remade(arrays, part.epoch, self.order.index(part.shard).alone[part.entries])
        return self.objective.batch(_inputs(arrays), random, self.context)

    def longest_batch(self, size: int) -> Batch:
        """The micro-batch with the longest rows of all: what does not fit shows on it first."""
        shard = self.order.widest
        index = self.order.index(shard)
        longest = index.longest(min(size, self.order.batch_size))
        return self.made(Part(0, shard, longest[cuts(index.lengths[longest], size, self.most)[-1]]))

    def held_out_batches(self, size: int) -> Iterator[Batch]:
        """The held-out rows, shard by shard, with the same masks every time."""
        for shard in range(len(self.shards)):
            index = self.order.index(shard)
            entries = np.flatnonzero(index.held)
            entries = entries[np.argsort(index.lengths[entries], kind="stable")]
            for cut in cuts(index.lengths[entries], size, self.most):
                chosen = entries[cut]
                random = RowRandom(key_of(self.seed, "held-out", self.position, shard), chosen)
                yield self.objective.batch(_inputs(take(self.shards[shard], chosen)), random, self.context)

    def rows(self, index: int) -> str:
        """Name the first rows of the batch `index`, for error messages."""
        names = source_names(self.objective)
        _, shard, entries = self.order.batch(index)
        found = [origin(int(row)) for row in np.asarray(self.shards[shard]["row"])[entries]]
        listed = ", ".join(
            f"validation {line - SECOND}" if line >= SECOND else f"{names[source]} {line}" for source, line in found[:8]
        )
        return f"lines {listed}" + (f" and {len(found) - 8} more" if len(found) > 8 else "")


def _inputs(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if name not in ("row", "variant")}
