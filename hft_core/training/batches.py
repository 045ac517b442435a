"""The batches of a stage, step after step, made beside training by as many worker processes as asked.

A batch is a function of its step, so it is the same whoever makes it, and a resumed stage begins at its step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hft_core.errors import keep_frames
from hft_core.training.streams import LiveStream


@dataclass(frozen=True)
class MicroBatch:
    """A piece of a step's batch."""

    number: int
    """Which piece of the batch it is, over all processes: dropout is drawn by it."""
    count: int
    """What its loss is divided by."""
    arrays: dict[str, torch.Tensor]
    spare: bool = False
    """It counts nothing, and only gives its process a pass where the others have one more."""


@dataclass(frozen=True)
class Share:
    """Which pieces of each batch a process gets: one in `processes`, beginning with its own number."""

    process: int = 0
    processes: int = 1
    fill: bool = False
    """Make as many pieces as give each process as many, as far as the rows go, not only as many as their size asks for.
    What is drawn by piece, such as dropout, then depends on the number of processes."""
    even: bool = False
    """Give each process as many passes as the others, by spare ones."""


class Batches(Dataset[list[list[MicroBatch]] | Exception]):
    """Item i: the micro-batches of step i, a list for each stream; none for a stream whose weight is 0 there."""

    def __init__(self, streams: Sequence[LiveStream], steps: int, size: int, share: Share = Share()):
        self.streams, self.steps, self.size, self.share = streams, steps, size, share

    def weight(self, stream: LiveStream, step: int) -> float:
        """A stream's weight at a step."""
        return stream.weight(step / max(1, self.steps - 1))

    def __getitem__(self, step: int) -> list[list[MicroBatch]] | Exception:
        try:
            return [self._of(stream, step) if self.weight(stream, step) else [] for stream in self.streams]
        except Exception as error:  # handed over whole: the loader would put a traceback into its message
            keep_frames(error)
            return error

    def _of(self, stream: LiveStream, step: int) -> list[MicroBatch]:
        share = self.share
        pieces = stream.pieces(step, self.size, multiple=share.processes if share.fill else 1)
        own = range(share.process, len(pieces), share.processes)
        batches = [micro_batch(stream, number, stream.made(pieces[number])) for number in own]
        if share.even and len(own) < -(-len(pieces) // share.processes):
            batches.append(replace(micro_batch(stream, 0, stream.made(pieces[0])), count=0, spare=True))
        return batches

    def from_step(self, first: int, workers: int) -> Iterator[list[list[MicroBatch]]]:
        """The batches of the steps from `first` on, made by `workers` processes ahead of training (0: when asked)."""
        # A forked worker has what was loaded here: plugins from loose files, and mapped arrays that need no copy.
        start = "fork" if workers and sys.platform == "linux" else None
        loader: DataLoader[Any] = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, self.steps),
            num_workers=workers,
            collate_fn=_unchanged,
            multiprocessing_context=start,
            generator=torch.Generator(),  # the loader draws a seed; training's randomness is none of its business
        )
        for made in loader:
            if isinstance(made, Exception):
                raise made
            yield made


def micro_batch(stream: LiveStream, number: int, batch: dict[str, Any]) -> MicroBatch:
    """Count a batch, and make tensors of it."""
    arrays = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.items()}
    return MicroBatch(number, stream.objective.count(batch), arrays)


def _unchanged(item: Any) -> Any:
    return item
