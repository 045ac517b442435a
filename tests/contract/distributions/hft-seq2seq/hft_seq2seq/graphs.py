"""What of a T5 is exported: encoder and decoder as two views over flat tensors."""

from __future__ import annotations

import numpy as np
import torch

from hft_core import Graph
from hft_seq2seq.net import T5Net


class _Encoder(torch.nn.Module):
    def __init__(self, net: T5Net):
        super().__init__()
        self.net = net

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.net.encode(ids, mask),)


class _Decoder(torch.nn.Module):
    def __init__(self, net: T5Net):
        super().__init__()
        self.net = net

    def forward(self, ids: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.net.decode(ids, hidden, mask),)


def encoder_graph(net: T5Net) -> Graph:
    """input_ids and attention_mask [batch, sequence] to hidden [batch, sequence, width]."""
    return Graph(
        name="encoder",
        module=_Encoder(net),
        inputs={"input_ids": ("batch", "sequence"), "attention_mask": ("batch", "sequence")},
        outputs={"hidden": ("batch", "sequence", net.model.config.d_model)},
        example={"input_ids": _ids(net, 8), "attention_mask": _mask()},
    )


def decoder_graph(net: T5Net) -> Graph:
    """decoder_input_ids [batch, target] and the encoder's states to logits [batch, target, vocabulary]."""
    width = net.model.config.d_model
    hidden = np.random.default_rng(0).standard_normal((2, 8, width)).astype(np.float32)
    return Graph(
        name="decoder",
        module=_Decoder(net),
        inputs={
            "decoder_input_ids": ("batch", "target"),
            "hidden": ("batch", "sequence", width),
            "attention_mask": ("batch", "sequence"),
        },
        outputs={"logits": ("batch", "target", net.model.config.vocab_size)},
        example={"decoder_input_ids": _ids(net, 5), "hidden": hidden, "attention_mask": _mask()},
    )


def _ids(net: T5Net, length: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return (np.arange(2 * length, dtype=np.int64).reshape(2, length) * 7 + 2) % net.model.config.vocab_size


def _mask() -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Eight tokens, and six."""
    return np.array([[1] * 8, [1] * 6 + [0] * 2], np.int64)
