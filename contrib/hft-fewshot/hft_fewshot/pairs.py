"""Drawing pairs of rows in time that grows with the rows, not with their square. Imports torch."""

from __future__ import annotations

import torch


def draw_pairs(labels: torch.Tensor, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw partners for each row: as many with its label as with others.

    Args:
        labels: int64 [rows].
        draws: float [rows, 2 × pairs] in [0, 1); the first half chooses partners of the row's label.

    Returns:
        The rows that have partners of both sorts, int64 [n]; their partners of the same label, never the row itself, and
        those of other labels, int64 [n, pairs] each.
    """
    rows, pairs = len(labels), draws.shape[1] // 2
    order = torch.argsort(labels, stable=True)  # rows of one label stand together, and a partner is a step away
    _, counts = torch.unique_consecutive(labels[order], return_counts=True)
    size = counts.repeat_interleave(counts)[:, None]  # of each row's label, by place in the order
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)[:, None]
    place = torch.arange(rows, device=labels.device)[:, None]
    draws = draws[order]
    alike = first + (place - first + 1 + _below(size - 1, draws[:, :pairs])) % size
    unlike = (first + size + _below(rows - size, draws[:, pairs:])) % rows
    both = ((size > 1) & (size < rows))[:, 0]
    return order[both], order[alike[both]], order[unlike[both]]


def _below(limit: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Make whole numbers from 0 to `limit` - 1 of draws; a product may be rounded up to the limit."""
    return (draws * limit).long().minimum(limit - 1).clamp(min=0)
