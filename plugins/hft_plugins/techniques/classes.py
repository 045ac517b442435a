"""What techniques share that compare distributions over classes: the logits that an objective's sum counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hft_core import Loss, RecipeError

if TYPE_CHECKING:
    import torch

_TARGETS = ("labels", "targets")
"""What the arrays with an objective's classes are called."""
_UNLABELLED = -100


def counted(batch: Mapping[str, torch.Tensor], loss: Loss, technique: str) -> torch.Tensor:
    """Say which entries of `logits` the loss sums over: bool [n], for logits [..., classes] flattened to [n, classes].

    Those are all rows or tokens with a class as their target, not -100. Raises RecipeError where there are no logits, or
    no such targets for them.
    """
    if "logits" not in loss.outputs:
        raise RecipeError(
            f"technique {technique}: an objective's net gives no `logits` (but {', '.join(loss.outputs) or 'nothing'}); "
            "name in `on:` only objectives over classes or tokens"
        )
    *leading, classes = loss.outputs["logits"].shape
    entries = loss.outputs["logits"].shape[:-1].numel()
    for name in _TARGETS:
        target = batch.get(name)
        if classes > 1 and target is not None and target.numel() == entries and not target.is_floating_point():
            return target.flatten() != _UNLABELLED
    raise RecipeError(
        f"technique {technique}: an objective's batch has no array of classes ({' or '.join(_TARGETS)}) for its logits "
        f"{[*leading, classes]}; name in `on:` only objectives with one of several classes per row or token"
    )
