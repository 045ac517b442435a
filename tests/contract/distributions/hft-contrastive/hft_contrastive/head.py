"""The head: a mean over the tokens, and a linear layer."""

from __future__ import annotations

import torch


class MeanPooled(torch.nn.Module):
    """One vector per text."""

    def __init__(self, width: int, size: int):
        super().__init__()
        self.linear = torch.nn.Linear(width, size)
        self.outputs = {"embedding": ("batch", size)}

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Give `embedding` float [rows, size] of hidden states [rows, length, width] where the mask is 1."""
        kept = mask[..., None].to(hidden.dtype)
        mean = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1)
        return {"embedding": self.linear(mean)}
