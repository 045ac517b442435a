"""Objective: what is minimised on one stream of data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from hft_core.components.base import Component, Settings
from hft_core.components.model import Preprocessor
from hft_core.components.reader import Columns
from hft_core.components.task import Facts, HeadSpec, Roles, Task
from hft_core.runtime.ragged import Arrays
from hft_core.runtime.randomness import RowRandom

if TYPE_CHECKING:
    import torch


class Ramp(Settings):
    """A weight that changes linearly over the stage."""

    from_: float = Field(ge=0)
    """Weight at the first step."""
    to: float = Field(ge=0)
    """Weight at the last step."""

    model_config = ConfigDict(alias_generator=lambda name: name.rstrip("_"), populate_by_name=True)


@dataclass(frozen=True)
class Stream:
    """What an objective's data is seen through: live objects, given by the engine."""

    preprocessor: Preprocessor
    """The model's."""
    roles: Roles
    """Of the stream's own columns."""
    task: Task | None = None
    """The task whose rows these are, bound to their columns; None for an objective that trains none."""
    facts: Facts = field(default_factory=dict)
    """What that task has learned."""


@dataclass
class Loss:
    """A loss summed, not averaged: the loop divides by the count of the whole step."""

    sum: torch.Tensor
    """Scalar, float32."""
    outputs: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """The head's named outputs, for techniques that read them."""


class Objective(Component):
    """Base of objectives."""

    kind: ClassVar[str] = "objective"
    gives: ClassVar[frozenset[str]] = frozenset()
    """Keys of the statistics that its held-out rows give to metrics: language models {"nll", "tokens"}."""
    needs_task: ClassVar[bool] = False
    """Whether it makes sense only for a task: it trains the task's head on the task's rows."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Keys that a task's predictions must have for this to train it, such as {"label"}."""
    own_head: ClassVar[bool] = False
    """Whether it is a side loss: even on a task's rows it trains a head of its own, the one that `head` gives, under its
    own name. The stage then needs an objective that trains the task, too."""
    head_type: ClassVar[str | None] = None
    """Name of the stock head that it trains where it is not a task's, if it is always the same: `hft check` then refuses a
    model that does not build it. None: the net tells when it is built."""
    couples: ClassVar[bool] = False
    """Whether the loss couples the rows of a step (in-batch negatives), so that it is no sum over micro-batches.

    Such an objective implements `vectors` and `couple` instead of `loss`; one that has only `loss` is refused in stages
    that need micro-batches or several processes.
    """

    after_encoding: ClassVar[frozenset[str]] = frozenset()
    """Fields that `encode` does not read: what was encoded is used again when only these change."""

    data: str | list[str]
    """The data source or sources that it reads, by their names under `data`."""
    task: str | None = None
    """The task whose head it trains; an objective that makes sense for a task only takes the recipe's one task."""
    weight: Annotated[float, Field(ge=0)] | Ramp = 1.0
    """Factor of its loss; `{from: 0.3, to: 0.0}` changes it linearly over the stage."""
    batch_size: int | None = Field(default=None, ge=1)
    """Rows of its stream in every optimizer step, so that streams mix in a ratio; default: the stage's `batch_size`."""

    @property
    def trained_task(self) -> str | None:
        """The task whose head it trains; None for one with a head of its own."""
        return None if self.own_head else self.task

    def silent(self) -> bool:
        """Whether its weight is 0 throughout: it is left out, and the stage is that without it."""
        return not (self.weight.from_ or self.weight.to) if isinstance(self.weight, Ramp) else not self.weight

    def head(self, stream: Stream) -> HeadSpec | None:
        """Say which head it needs; None: the task's. On a task's rows it is asked only if `own_head` is set."""
        return None

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """Turn columns into arrays with one entry per training row or window; by default the task's encoding and targets.

        It is called once for each shard of a source: at most 100,000 rows or 64 MB, all of a small source, so that rows can
        be packed into blocks; never with a part of one, nor twice with the same row.
        ``row`` int64 says which row of `columns` each entry came from; without it entry i is row i.
        """
        if stream.task is None:
            raise TypeError(f"{type(self).__name__} has no task and does not override encode()")
        arrays = stream.task.encode(columns, stream.preprocessor, stream.facts)
        return arrays | stream.task.targets(columns, arrays, stream.facts)

    def remarks(self, arrays: Arrays, stream: Stream) -> list[str]:
        """Say what somebody should know of a shard that was encoded, such as targets that no window holds; by default nothing.

        One sentence each; the run tells them as warnings, with the source's name before them.
        """
        return []

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Make one padded batch of rows that were encoded; draws masks, pairs or negatives from `random`."""
        return stream.preprocessor.pad(arrays)

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """The rows of the net's embedding layer that batches of these encoded rows can ask for; None, the default: any.

        None also where its head reads the table itself, as output layers that are tied to it do. Where all objectives of a
        stage tell, rows that are never asked for are left out of training, which is the same and faster.
        """
        return None

    @abstractmethod
    def count(self, batch: Mapping[str, NDArray[Any]]) -> int:
        """What the sum is divided by (rows, tokens, …): known before the first backward pass."""

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Compute the summed loss. `net(**inputs)` runs the backbone and this objective's head.

        An objective that couples rows leaves this as it is.
        """
        return self.couple(self.vectors(net, batch))

    def vectors(
        self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Give what `couple` needs of a micro-batch, by name; each has one entry per row, such as [rows, width].

        Whatever has no gradient (row labels) comes through unchanged.
        """
        raise NotImplementedError(f"{type(self).__name__} implements neither loss() nor vectors()")

    def couple(self, vectors: Mapping[str, torch.Tensor]) -> Loss:
        """Compute the summed loss of a whole step from its `vectors`, micro-batches and processes put together.

        The loop differentiates this once, and carries the gradients of the vectors into each micro-batch (Gao et al.
        2021, "Scaling deep contrastive learning batch size under memory limited setup").
        """
        raise NotImplementedError(f"{type(self).__name__} implements neither loss() nor couple()")

    @classmethod
    def splits_over_micro_batches(cls) -> bool:
        """Whether a step may be computed piece by piece: the loss is a sum over rows, or goes through `vectors`."""
        return not cls.couples or cls.vectors is not Objective.vectors

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "type" not in cls.model_fields:
            return
        has_loss = cls.loss is not Objective.loss
        coupled = cls.vectors is not Objective.vectors and cls.couple is not Objective.couple
        if not has_loss and not coupled:
            raise TypeError(f"{cls.__qualname__}: implement loss(), or where rows couple vectors() and couple()")
        if coupled and not cls.couples:
            raise TypeError(
                f"{cls.__qualname__}: it has vectors() and couple(), so declare `couples: ClassVar[bool] = True`"
            )
