"""A few steps of training on a sample, as the loop makes them: for the checks of objectives, techniques and models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Loss, Objective
from hft_core.runtime.ragged import Arrays, take
from hft_core.runtime.randomness import RowRandom
from hft_core.testing.subject import HEAD, Subject, entries

if TYPE_CHECKING:
    import torch

    from hft_core.components.net import Net

Batch = dict[str, NDArray[Any]]


def encoded(subject: Subject) -> Arrays:
    """The sample's rows as the objective encodes them."""
    return subject.objective.encode(subject.rows(), subject.stream)


def batch(subject: Subject, arrays: Arrays, rows: NDArray[np.int64] | None = None, key: int = 0) -> Batch:
    """One batch of some encoded entries, by default of all."""
    chosen = np.arange(entries(arrays)) if rows is None else rows
    inputs = {name: array for name, array in take(arrays, chosen).items() if name not in ("row", "variant")}
    return subject.objective.batch(inputs, RowRandom(key, chosen), subject.stream)


def tensors(made: Batch) -> dict[str, torch.Tensor]:
    """A batch as tensors."""
    import torch

    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in made.items()}


def plain_loss(objective: Objective, net: Net) -> Callable[..., Loss]:
    """What computes the objective's loss of a batch with a net, as techniques are given it."""

    def compute(arrays: dict[str, torch.Tensor], net: Any = net) -> Loss:
        return objective.loss(partial(net, HEAD), arrays)

    return compute


def parameters(net: Net) -> dict[str, torch.Tensor]:
    """A copy of the net's weights by name."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
