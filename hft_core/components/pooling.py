"""One vector per text out of a backbone's states, for heads that a task or objective makes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Pooling = Literal["mean", "max", "first", "last"]


def pooled(states: torch.Tensor, mask: torch.Tensor, how: Pooling) -> torch.Tensor:
    """Give one vector per row, float [rows, width], of its real tokens; padding may be on either side, or between.

    Args:
        states: float [rows, length, width].
        mask: 1 where a token is, int64 [rows, length]; at least one in each row.
        how: the mean or the largest value over the tokens, or the state of the first or the last one.
    """
    import torch

    real = mask.bool()
    if how == "max":
        return states.masked_fill(~real[..., None], torch.finfo(states.dtype).min).amax(1)
    if how == "mean":
        kept = mask.to(states.dtype)
    else:
        count = mask.cumsum(1)
        kept = (real & (count == (1 if how == "first" else count[:, -1:]))).to(states.dtype)
    return (states * kept[..., None]).sum(1) / kept.sum(1, keepdim=True).clamp(min=1)
