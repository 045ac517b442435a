"""The gradient of one objective's part of a step: over its micro-batches, with the techniques around the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator

from hft_core.components import Loss, Technique
from hft_core.runtime.randomness import key_of
from hft_core.training.batches import MicroBatch
from hft_core.training.module import Forward
from hft_core.training.processes import Processes
from hft_core.training.streams import LiveStream

Compute = Callable[..., Loss]


class Gradients:
    """Adds gradients to the parameters of `trained`."""

    def __init__(
        self,
        trained: Forward,
        accelerator: Accelerator,
        processes: Processes,
        techniques: Sequence[tuple[Technique, Any]],
        seed: int,
    ):
        self.trained, self.accelerator, self.processes = trained, accelerator, processes
        self.techniques, self.seed = techniques, seed

    def add(self, stream: LiveStream, batches: Sequence[MicroBatch], factor: float, step: int) -> float:
        """Add the gradient of `factor` times the objective's sum over these micro-batches; gives that sum."""
        if not factor:
            return 0.0
        if stream.objective.couples and (len(batches) > 1 or self.processes.count > 1):
            return self._add_coupled(stream, batches, factor, step)
        total = 0.0
        for batch in batches:
            loss = self.loss(stream, batch, step)
            if loss.sum.requires_grad:  # a head without parameters of its own has none while heads settle
                self.accelerator.backward(loss.sum * (0 if batch.spare else factor))
            total += 0 if batch.spare else float(loss.sum.detach())
        return total

    def _add_coupled(self, stream: LiveStream, batches: Sequence[MicroBatch], factor: float, step: int) -> float:
        """The same where rows couple: the vectors of all rows first, without a graph; then each micro-batch again.

        Cached gradients (Gao et al. 2021): the loss is differentiated by the vectors, and what comes out is carried into
        the passes that made them, under the same seeds.
        """
        with torch.no_grad():
            parts = [self._vectors(stream, batch, step) for batch in batches]
        own = [part for batch, part in zip(batches, parts, strict=True) if not batch.spare]
        names = list(own[0]) if own else []
        whole, first = self.processes.together({name: torch.cat([part[name] for part in own]) for name in names})
        leaves = {name: rows.detach().requires_grad_(rows.is_floating_point()) for name, rows in whole.items()}
        with self.accelerator.autocast():
            loss = stream.objective.couple(leaves).sum
        loss.backward()  # type: ignore[no-untyped-call]  # torch's is untyped
        for batch, part in zip(batches, parts, strict=True):
            vectors = self._vectors(stream, batch, step)
            if batch.spare:
                self.accelerator.backward(sum(rows.sum() for rows in vectors.values() if rows.requires_grad) * 0)
                continue
            behind = first + len(next(iter(part.values())))
            carried = [
                (vectors[name] * gradient[first:behind]).sum()
                for name in vectors
                if vectors[name].requires_grad and (gradient := leaves[name].grad) is not None
            ]
            if carried:
                self.accelerator.backward(sum(carried[1:], carried[0]) * factor)
            first = behind
        return float(loss.detach()) if self.processes.first else 0.0  # every process has computed the whole

    def loss(self, stream: LiveStream, batch: MicroBatch, step: int) -> Loss:
        """The objective's loss with the techniques around it, under the seed of this step and micro-batch."""
        self._reseed(stream, batch, step)
        compute = loss_of(stream, self.trained, self.techniques)
        with self.accelerator.autocast():
            return compute(on_device(batch, self.accelerator.device))

    def _vectors(self, stream: LiveStream, batch: MicroBatch, step: int) -> dict[str, torch.Tensor]:
        self._reseed(stream, batch, step)
        with self.accelerator.autocast():
            arrays = on_device(batch, self.accelerator.device)
            return stream.objective.vectors(partial(self.trained, stream.head), arrays)

    def _reseed(self, stream: LiveStream, batch: MicroBatch, step: int) -> None:
        """Whatever is drawn in a pass depends on step, micro-batch and objective alone."""
        torch.manual_seed(key_of(self.seed, "dropout", step, batch.number, stream.position) % 2**63)


def loss_of(stream: LiveStream, trained: torch.nn.Module, techniques: Sequence[tuple[Technique, Any]]) -> Compute:
    """The objective's loss of a batch's arrays, with the techniques around it."""

    def plain(arrays: dict[str, torch.Tensor], net: torch.nn.Module | None = None) -> Loss:
        return stream.objective.loss(partial(net or trained, stream.head), arrays)

    compute: Compute = plain
    for technique, state in techniques:
        if technique.applies(stream.objective):
            compute = _around(compute, technique, state)
    return compute


def _around(compute: Compute, technique: Technique, state: Any) -> Compute:
    """The loss with a technique around it; what is computed with another net is none of the technique's business."""

    def outer(arrays: dict[str, torch.Tensor], net: torch.nn.Module | None = None) -> Loss:
        return technique.loss(compute, arrays, state) if net is None else compute(arrays, net=net)

    return outer


def on_device(batch: MicroBatch, device: torch.device) -> dict[str, torch.Tensor]:
    """Copy a batch's arrays to the device."""
    return {name: tensor.to(device) for name, tensor in batch.arrays.items()}
