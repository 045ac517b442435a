"""The technique `r-drop`: two passes with different dropout have to agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import Loss, Technique
from hft_plugins.techniques.classes import counted

if TYPE_CHECKING:
    import torch


class RDrop(Technique):
    """Computes each loss twice, with different dropout, and pulls the two outputs together (Liang et al. 2021).

    The loss becomes (first + second) / 2 + alpha × (KL(first ‖ second) + KL(second ‖ first)) / 2, where the divergences
    are those of the distributions over the classes, summed over what the objective's sum is over: rows, or tokens with a
    label. A step has two passes. Without dropout both passes are the same, and so is the loss.

    With `fgm` listed before it, first and second each are a clean and an adversarial loss, and the clean outputs are
    compared; with `fgm` after it, the perturbations are those that make this whole loss worse, one for each pass.
    """

    type: Literal["r-drop"]
    alpha: float = Field(default=1.0, gt=0)
    """Weight of the divergence; the paper takes 0.1 to 1 for classifying texts, and 5 for translation."""

    per_row: ClassVar[bool] = True
    allows_compact_table: ClassVar[bool] = True

    def loss(self, compute: Callable[..., Loss], batch: dict[str, Any], state: None) -> Loss:
        """Give the mean of both losses and their divergence. Raises RecipeError for an objective not over classes."""
        first, second = compute(batch), compute(batch)
        chosen = counted(batch, first, "r-drop")
        one, other = (loss.outputs["logits"].flatten(0, -2)[chosen] for loss in (first, second))
        return Loss((first.sum + second.sum) / 2 + self.alpha * divergence(one, other), first.outputs)


def divergence(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Sum (KL(one ‖ other) + KL(other ‖ one)) / 2 of logits [n, classes] over n, in float32."""
    from torch.nn.functional import log_softmax

    p, q = log_softmax(one.float(), -1), log_softmax(other.float(), -1)
    return ((p.exp() - q.exp()) * (p - q)).sum() / 2
