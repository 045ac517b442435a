"""Flat-tensor views of a net for export."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hft_core import Graph
from hft_plugins.transformers.tokenizer import positions


class _Flat(torch.nn.Module):
    """Takes its inputs by position, gives a tuple: what tracing wants."""

    def __init__(self, head: torch.nn.Module, inputs: list[str]):
        super().__init__()
        self.head = head
        self.inputs = inputs

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.head(**dict(zip(self.inputs, arrays, strict=True)), return_dict=True).logits,)


def flat_graph(net: Any, name: str) -> Graph:
    """Give the graph `model` of one head: input_ids, attention_mask (and token_type_ids) to logits."""
    head = net.heads[name]
    # Eager attention is written out as plain matrix products, which ONNX Runtime can fuse.
    head.set_attn_implementation("eager")
    config = head.config
    inputs = ["input_ids", "attention_mask"]
    if getattr(config, "type_vocab_size", 0) > 1:
        inputs.append("token_type_ids")
    if hasattr(config, "use_cache"):
        config.use_cache = False
    longest = positions(config.to_dict())
    ids = (np.arange(16, dtype=np.int64).reshape(2, 8) + 5) % config.vocab_size
    mask = np.ones((2, 8), np.int64)
    mask[1, 6:] = 0
    ids[1, 6:] = config.pad_token_id or 0
    example = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return Graph(
        name="model",
        module=_Flat(head, inputs),
        inputs=dict.fromkeys(inputs, ("batch", "sequence")),
        outputs={"logits": ("batch", config.num_labels)},
        example={name: example[name] for name in inputs},
        maximum={} if longest is None else {"sequence": longest},
    )
