"""The last layer, computed for those tokens only that a head reads.

Its attention looks at all tokens, but what comes behind works token by token: three quarters of the layer's arithmetic. A
classifier reads the first token, a masked language model the hidden ones, so training leaves out the rest. The numbers
that remain are the same. Where the first token is read, it alone asks in the attention, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

_KINDS = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})
"""Families whose layers consist of `attention.self`, then `attention.output` and what works token by token."""

Select = Callable[[torch.Tensor], torch.Tensor]
"""Takes states [rows, length, width] and gives those of some tokens, float [rows, some, width]."""


class LastLayer:
    """Hooks in the last of a backbone's layers, asleep but in `only`."""

    def __init__(self, kind: str, layer: torch.nn.Module):
        self.known = kind in _KINDS
        """Whether the layer is one that this works for."""
        self._select: Select | None = None
        if self.known:
            attention: Any = layer.attention
            self._attention = attention.self
            self._attention.register_forward_hook(self._after_attention)
            attention.output.register_forward_pre_hook(self._before_residual)

    @property
    def busy(self) -> bool:
        """Whether it is computed for some tokens only."""
        return self._select is not None

    @contextmanager
    def only(self, select: Select) -> Iterator[None]:
        """Compute the layer for the tokens that `select` takes while in this context."""
        self._select = select
        alone = select is first and self._can_ask_alone
        if alone:
            self._attention.forward = self._first_asks
        try:
            yield
        finally:
            self._select = None
            if alone:
                del self._attention.forward  # the class's own is behind it

    @property
    def _can_ask_alone(self) -> bool:
        """Whether the attention is the plain one, whose masks have a row for each token that asks, or one for all."""
        ways = ("sdpa", "eager")
        return not self._attention.is_decoder and self._attention.config._attn_implementation in ways

    def _first_asks(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **unused: Any
    ) -> tuple[torch.Tensor, None]:
        """The attention of the first token to all others, float [rows, 1, width]: one row of what the layer computes."""
        layer = self._attention
        query, key, value = (
            project(states).unflatten(-1, (-1, layer.attention_head_size)).transpose(1, 2)
            for project, states in (
                (layer.query, first(hidden_states)), (layer.key, hidden_states), (layer.value, hidden_states)
            )
        )  # fmt: skip
        mask = None if attention_mask is None else attention_mask[:, :, :1]
        drop = layer.dropout.p if layer.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=drop, scale=layer.scaling)
        return mixed.transpose(1, 2).flatten(2), None

    def _after_attention(self, module: Any, args: Any, output: tuple[torch.Tensor, ...]) -> Any:
        return output if self._select is None else (self._select(output[0]), *output[1:])

    def _before_residual(self, module: Any, args: tuple[torch.Tensor, torch.Tensor]) -> Any:
        return args if self._select is None else (args[0], self._select(args[1]))


def first(states: torch.Tensor) -> torch.Tensor:
    """The first token of each row."""
    return states[:, :1]
