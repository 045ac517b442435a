"""The live bag. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from hft_core import Graph, HeadSpec, Net, Part, PluginError

_WEIGHTS = "model.safetensors"


class BagNet(Net):
    """A table of vectors, and linear heads on their mean."""

    def __init__(self, buckets: int, width: int, dropout: float, sizes: Mapping[str, int]):
        super().__init__()
        self.table = torch.nn.Embedding(buckets + 1, width, padding_idx=0)
        self.dropout = torch.nn.Dropout(dropout)
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Give `logits` float [rows, size] of `grams` int64 [rows, longest]."""
        return {"logits": self.heads[head](self.dropout(self.embed(**arrays)))}

    def embed(self, **arrays: torch.Tensor) -> torch.Tensor:
        """Give the mean vector of each row, [rows, width]; nothing where a row has no n-gram."""
        grams = arrays["grams"]
        mean: torch.Tensor = self.table(grams).sum(1) / (grams != 0).sum(1, keepdim=True).clamp(min=1)
        return mean

    def parts(self) -> list[Part]:
        """The table and the heads."""
        heads = [Part(f"head.{name}", 1.0, "head", head) for name, head in self.heads.items()]
        return [Part("table", 0.0, "embeddings", self.table), *heads]

    def save(self, folder: Path) -> None:
        """Write one file."""
        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / _WEIGHTS)


def build(start: Path | None, buckets: int, width: int, dropout: float, heads: Mapping[str, HeadSpec]) -> BagNet:
    """Build the net; heads that `start` lacks, or has in another size, are new."""
    for name, spec in heads.items():
        if spec.name != "sequence-classification" or spec.size is None:
            raise PluginError(f"model: bag has heads for classification only, found {spec.name!r} for {name!r}")
    net = BagNet(buckets, width, dropout, {name: int(spec.size or 0) for name, spec in heads.items()})
    if start is not None:
        own = net.state_dict()
        saved = {k: v for k, v in load_file(start / _WEIGHTS).items() if k in own and own[k].shape == v.shape}
        if "table.weight" not in saved:
            raise PluginError(f"model: the weights in {start} are of a bag with other `buckets` or another `width`")
        net.load_state_dict(saved, strict=False)
        net.new_heads = frozenset(name for name in heads if f"heads.{name}.weight" not in saved)
    return net


class _Flat(torch.nn.Module):
    """Takes its input by position and gives a tuple, as tracing wants it."""

    def __init__(self, net: BagNet, head: str):
        super().__init__()
        self.net, self.head = net, head

    def forward(self, grams: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.net(self.head, grams=grams)["logits"],)


def graph(net: BagNet, head: str) -> Graph:
    """Give the graph `model` of one head."""
    grams = np.arange(16, dtype=np.int64).reshape(2, 8) * (net.table.num_embeddings - 1) // 15
    grams[1, 6:] = 0
    return Graph(
        name="model",
        module=_Flat(net, head),
        inputs={"grams": ("batch", "sequence")},
        outputs={"logits": ("batch", net.heads[head].out_features)},  # type: ignore[dict-item]  # a Linear's, an int
        example={"grams": grams},
    )
