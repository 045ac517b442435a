"""What of an encoder-decoder is exported: two views over flat tensors, the decoder's with a cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hft_core import Graph
from hft_core.runtime.cache import PAST, PRESENT
from hft_plugins.transformers.graphs import Axes, View, axes_of, refuse_untraceable
from hft_plugins.transformers.seq2seq.net import DECODER, ENCODER, Seq2SeqNet
from hft_plugins.transformers.tokenizer import positions

Arrays = dict[str, NDArray[Any]]

_SOURCE, _TARGET, _SEEN = 8, 5, 3
"""Tokens in the examples: of the input, of the target, and in the cache; no two axes of one size."""


def graphs(net: Seq2SeqNet, head: str) -> list[Graph]:
    """Give `encoder`, to be run once a text, and `decoder`, once a token.

    Their cache has two halves: ``N.encoder.key`` and ``….value`` of layer N, which the encoder gives and which stay as
    they are, and ``N.decoder.…``, which grow.
    """
    refuse_untraceable(net.model.config.model_type)
    net.model.set_attn_implementation("eager")  # plain matrix products, which ONNX Runtime can fuse
    example = {"input_ids": _ids(net, _SOURCE), "attention_mask": _mask()}
    read = _present(net.run(head, ENCODER, **_tensors(example)))
    return [_encoder(net, head, example, read), _decoder(net, head, read)]


def _encoder(net: Seq2SeqNet, head: str, example: Arrays, read: Arrays) -> Graph:
    """input_ids and attention_mask [batch, sequence] to the decoder's keys and values of them."""
    inputs: Axes = {"input_ids": ("batch", "sequence"), "attention_mask": ("batch", "sequence")}
    outputs = {f"{PRESENT}{name}": axes_of(array, "sequence") for name, array in read.items()}
    view = View(net, head, ENCODER, list(inputs), list(outputs))
    return Graph(ENCODER, view, inputs, outputs, example, _limits(net))


def _decoder(net: Seq2SeqNet, head: str, read: Arrays) -> Graph:
    """decoder_input_ids [batch, target], the mask of the text that was read and the cache to logits and the cache."""
    example: Arrays = {"decoder_input_ids": _ids(net, _TARGET), "attention_mask": _mask()}
    example |= {f"{PAST}{name}": array for name, array in read.items()}
    seen = _present(net.run(head, DECODER, **_tensors(example | {"decoder_input_ids": _ids(net, _SEEN)})))
    inputs: Axes = {"decoder_input_ids": ("batch", "target"), "attention_mask": ("batch", "sequence")}
    inputs |= {f"{PAST}{name}": axes_of(array, "sequence") for name, array in read.items()}
    inputs |= {f"{PAST}{name}": axes_of(array, "past") for name, array in seen.items()}
    outputs: Axes = {"logits": ("batch", "target", net.model.config.vocab_size)}
    outputs |= {f"{PRESENT}{name}": axes_of(array, "total") for name, array in seen.items()}
    example |= {f"{PAST}{name}": array for name, array in seen.items()}
    view = View(net, head, DECODER, list(inputs), list(outputs))
    return Graph(DECODER, view, inputs, outputs, example, _limits(net))


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _present(found: Mapping[str, torch.Tensor]) -> Arrays:
    """The cache's entries among a graph's outputs, without the beginning of their names."""
    return {
        name.removeprefix(PRESENT): array.detach().numpy() for name, array in found.items() if name.startswith(PRESENT)
    }


def _ids(net: Seq2SeqNet, length: int) -> NDArray[np.int64]:
    vocabulary: int = net.model.config.vocab_size
    return (np.arange(2 * length, dtype=np.int64).reshape(2, length) * 7 + 2) % vocabulary


def _mask() -> NDArray[np.int64]:
    """All tokens, and two less."""
    mask = np.ones((2, _SOURCE), np.int64)
    mask[1, -2:] = 0
    return mask


def _limits(net: Seq2SeqNet) -> dict[str, int]:
    """What may be read and written at most; half of it at once, for a check needs room for what is past."""
    longest = positions(net.model.config.to_dict())
    return {} if longest is None else {"sequence": longest, "total": longest, "target": max(1, longest // 2)}
