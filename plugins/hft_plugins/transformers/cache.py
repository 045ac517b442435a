"""The library's cache as flat named tensors, in a form that can be traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from hft_core.runtime.cache import PAST, PRESENT


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]  # the library types only some of it
    """Keys and values [batch, heads, past, width] of the tokens so far.

    The library's own asks whether they are empty, which tracing would settle once and for all.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor):
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.lazy_initialization(keys, values)
        self.keys: Any = keys
        self.values: Any = values

    def get_seq_length(self) -> int:
        """Tokens so far; 0 is a length like others."""
        length: int = self.keys.shape[-2]
        return length


def filled(past: Mapping[str, torch.Tensor], which: str = "") -> Cache:
    """Make the library's cache of ``past_key_values.N.key`` and ``….value``; without any it is empty.

    `which`: where a model has two, what stands before `key` and `value`, such as `encoder.`.
    """
    if f"{PAST}0.{which}key" not in past:
        return DynamicCache()
    layers = range(sum(name.endswith(f".{which}key") for name in past))
    return Cache(layers=[_Layer(past[f"{PAST}{n}.{which}key"], past[f"{PAST}{n}.{which}value"]) for n in layers])


def presents(cache: Any, which: str = "") -> dict[str, torch.Tensor]:
    """Give ``present.N.key`` and ``….value`` of each layer, past and new tokens together."""
    return {
        f"{PRESENT}{n}.{which}{kind}": tensor
        for n, layer in enumerate(cache.layers)
        for kind, tensor in (("key", layer.keys), ("value", layer.values))
    }
