"""A stage's embedding table without the rows that the stage cannot meet.

A table has a row for each token of the vocabulary, and a task's texts use a part of them. The others never have a
gradient: for these rows, clearing the gradient, measuring its norm and the optimizer's step are all for nothing, and
all they undergo is weight decay, which is a factor. So the rows that can be met are trained as a table of their own;
the whole is put together for evaluation and at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from hft_core.components import ParamGroup, Technique
from hft_core.components.net import Net
from hft_core.recipe.model import Stage
from hft_core.training.streams import LiveStream

_WORTH_IT = 1_000_000  # weights that have to be left out; for fewer, a table stays as it is


def compact_table(net: Net, stage: Stage, streams: Sequence[LiveStream]) -> CompactTable | None:
    """Put the rows that the streams can meet in place of the net's embedding table; None where it has to stay whole."""
    layer = net.embedding()
    if type(layer) is not torch.nn.Embedding or layer.weight.numel() < _WORTH_IT or not _allowed(stage):
        return None
    if any(type(m) is torch.nn.Embedding and m is not layer and m.weight is layer.weight for m in net.modules()):
        return None  # such as the two sides of an encoder-decoder, of which one would not know the rows' new places
    met = [stream.tokens() for stream in streams if not stream.objective.silent()]
    known = [tokens for tokens in met if tokens is not None]
    if len(known) < len(met):
        return None
    rows = np.unique(np.concatenate(known))
    if (layer.num_embeddings - len(rows)) * layer.embedding_dim < _WORTH_IT:
        return None
    return CompactTable(net, layer, torch.from_numpy(rows).to(layer.weight.device))


def _allowed(stage: Stage) -> bool:
    """Whether optimizer and techniques do to a row that never has a gradient what a factor can say."""
    factor = stage.optimizer.untouched(stage.optimizer.lr)
    averages = any(type(technique).averaged is not Technique.averaged for technique in stage.techniques)
    return (
        factor is not None
        and all(technique.allows_compact_table for technique in stage.techniques)
        and (factor == 1 or not averages)  # the average of a decaying row is another factor
    )


class CompactTable:
    """The table of an embedding layer, which has `rows` only while it is trained."""

    def __init__(self, net: Net, layer: torch.nn.Embedding, rows: torch.Tensor):
        self.layer, self.rows = layer, rows
        # Heads that the stage does not run, such as a language model's, may be tied to the table.
        self._holders = [
            (module, name)
            for module in net.modules()
            for name, weight in module.named_parameters(recurse=False)
            if weight is layer.weight
        ]
        self.decay = 1.0
        """What weight decay has left of the other rows: part of a checkpoint."""
        self._start = layer.weight.detach()
        self._place = torch.full((layer.num_embeddings,), len(rows), device=rows.device)  # any other row: IndexError
        self._place[rows] = torch.arange(len(rows), device=rows.device)
        padding = layer.padding_idx
        place = None if padding is None else int(self._place[padding])
        self._paddings = (padding, place if place is not None and place < len(rows) else None)
        self._mapped = layer.register_forward_pre_hook(self._places)
        self._set(torch.nn.Parameter(self._start[rows].clone(), requires_grad=layer.weight.requires_grad), whole=False)

    def after_step(self, group: ParamGroup, factor: float) -> None:
        """Note an optimizer's step with its `factor` for rows without a gradient, if `group` holds the table."""
        if group.decay and any(parameter is self._compact for parameter in group.params):
            self.decay *= factor

    @contextmanager
    def whole(self) -> Iterator[None]:
        """The layer has all rows while in this context."""
        full = (self._start * self.decay).to(self._compact.device)
        full[self.rows] = self._compact.detach().to(full.dtype)
        compact = self._compact
        self._set(torch.nn.Parameter(full, requires_grad=False), whole=True)
        try:
            yield
        finally:
            self._set(compact, whole=False)

    def expand(self) -> None:
        """Give the layer all its rows for good."""
        with self.whole():
            full = torch.nn.Parameter(self.layer.weight.detach())
        self._set(full, whole=True)
        self._mapped.remove()

    def follow(self) -> None:
        """Take the parameter that the layer has now for its own: the one that it gave has been sharded."""
        assert isinstance(self.layer.weight, torch.nn.Parameter)
        self._compact = self.layer.weight

    @property
    def trained(self) -> bool:
        """Whether the rows have a gradient, so that the optimizer's next step changes the table."""
        return self._compact.grad is not None

    def _set(self, weight: torch.nn.Parameter, whole: bool) -> None:
        self._is_whole = whole
        for module, name in self._holders:
            setattr(module, name, weight)
        if not whole:
            self._compact = weight
        self.layer.padding_idx = self._paddings[0 if whole else 1]

    def _places(self, layer: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._is_whole:
            return None
        ids = args[0]
        if self._place.device != ids.device:  # the net was moved after it was built
            self._place, self.rows = self._place.to(ids.device), self.rows.to(ids.device)
        return self._place[ids], *args[1:]
