"""The head of `supervised-contrastive`: one vector per text, without weights of its own. Imports torch."""

from __future__ import annotations

from typing import Literal

import torch

from hft_core import pooled

Pooling = Literal["mean", "first", "last"]


class Pooled(torch.nn.Module):
    """Makes ``{"embedding": float [rows, width]}`` of the backbone's last states."""

    def __init__(self, pooling: Pooling):
        super().__init__()
        self.pooling = pooling

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pool states [rows, length, width] over the real tokens of the mask [rows, length]."""
        return {"embedding": pooled(hidden, mask, self.pooling)}
