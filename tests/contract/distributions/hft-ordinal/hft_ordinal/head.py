"""The head: one direction for all steps of the scale, and a threshold for each. Imports torch."""

import torch


class CumulativeHead(torch.nn.Module):
    def __init__(self, width, steps):
        super().__init__()
        self.direction = torch.nn.Linear(width, 1, bias=False)
        self.thresholds = torch.nn.Parameter(torch.linspace(1.0, -1.0, steps))
        self.outputs = {"above": ("batch", steps)}

    def forward(self, hidden, mask):
        kept = mask[..., None].to(hidden.dtype)
        return {"above": self.direction((hidden * kept).sum(1) / kept.sum(1)) + self.thresholds}
