"""The head: an embedding of the text, and a linear layer over it. Imports torch."""

from __future__ import annotations

import torch

from hft_core import pooled


class EmbeddedClassifier(torch.nn.Module):
    """Makes `embedding` float [rows, width] of length 1, and `logits` float [rows, labels] of it."""

    def __init__(self, width: int, labels: int):
        super().__init__()
        self.linear = torch.nn.Linear(width, labels)
        self.outputs = {"logits": ("batch", labels), "embedding": ("batch", width)}

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pool states [rows, length, width] over the real tokens of the mask [rows, length]; float32."""
        embedding = torch.nn.functional.normalize(pooled(hidden.float(), mask, "mean"), dim=-1)
        return {"logits": self.linear(embedding), "embedding": embedding}
