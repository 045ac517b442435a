"""The head: one vector per text out of the backbone's last states, without weights of its own. Imports torch."""

from __future__ import annotations

from typing import Literal

import torch

from hft_core import pooled


class Pooled(torch.nn.Module):
    """Makes ``{"embedding": float [rows, width]}`` of the backbone's last states."""

    def __init__(self, pooling: Literal["mean", "max", "first", "last"], normalise: bool, width: int):
        super().__init__()
        self.pooling, self.normalise = pooling, normalise
        self.outputs = {"embedding": ("batch", width)}

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pool states [rows, length, width] over the tokens of the mask [rows, length]; float32, of length 1 if asked for."""
        vectors = pooled(hidden.float(), mask, self.pooling)
        return {"embedding": torch.nn.functional.normalize(vectors, dim=-1) if self.normalise else vectors}
