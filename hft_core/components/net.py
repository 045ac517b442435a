"""Net: the live torch module of a stage. Imports torch; reached only when something is built."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Part:
    """A named piece of a net: the only thing that freezing, layer-wise rates and re-initialising look at."""

    name: str
    """A name for reports and messages, unique in the net, such as `layer.3`."""
    depth: float
    """0 at the input, 1 at the heads."""
    kind: str
    """`embeddings`, `layer` or `head`."""
    module: torch.nn.Module
    """What it consists of."""


class Net(torch.nn.Module):
    """Base of nets: one backbone and named heads. Attributes are set by the model's `build`."""

    new_heads: frozenset[str] = frozenset()
    """Heads whose weights are freshly initialised, wholly or, of labels that were added, in part."""
    changed_labels: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    """By head, the labels that were added and those that are gone since its weights were trained, where others stay: these
    keep their weights. A head with labels added is in `new_heads` too."""

    @abstractmethod
    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run backbone and one head as training does; named outputs: `logits`, `start`, `end`, `embedding`, …"""

    def run(self, head: str, graph: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute what the named graph of the model's `graphs` computes, for evaluation and as what an export has to equal.

        Where the graph has a cache, inputs ``past_key_values.*`` that are left out are empty, and the outputs hold
        ``present.*``. The default is `forward`; a net with a cache, or with several graphs, overrides it.
        """
        outputs: dict[str, torch.Tensor] = self(head, **arrays)
        return outputs

    @abstractmethod
    def parts(self) -> list[Part]:
        """Give the parts, input first; each parameter lies in exactly one (shared ones in the first)."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the whole net so that the model's `build(folder, …)` restores it; fp32 safetensors, no pickle."""

    def embedding(self) -> torch.nn.Module | None:
        """Give the layer that turns inputs into vectors, float [rows, length, width], or None where there is none."""
        return None

    def embed(self, **arrays: torch.Tensor) -> torch.Tensor | None:
        """Give one vector per row [rows, width] for the linear-probe baseline, or None where that has no meaning."""
        return None
