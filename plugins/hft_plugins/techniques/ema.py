"""The technique `ema`: an exponential moving average of the weights."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import Technique
from hft_plugins.techniques.swap import swapped

if TYPE_CHECKING:
    import torch

    from hft_core import Context, Net


class EMA(Technique):
    """Averages the weights over the last steps; evaluation, the best epoch and the stage's end see the average.

    Polyak averaging with exponential weights. While few steps are done the average follows faster
    (share kept: (1 + step) / (10 + step)), so that the first weights do not linger.
    """

    type: Literal["ema"]
    decay: float = Field(default=0.999, gt=0, lt=1)
    """Share of the average that each step keeps."""

    excludes: ClassVar[frozenset[str]] = frozenset({"swa"})
    follows: ClassVar[frozenset[str]] = frozenset({"reinit"})  # the average begins with the weights as they are
    allows_compact_table: ClassVar[bool] = True

    def prepare(self, net: Net, context: Context) -> dict[str, torch.Tensor]:
        """Start from the weights as they are; what is not trained needs no average."""
        return {
            name: parameter.detach().clone() for name, parameter in net.named_parameters() if parameter.requires_grad
        }

    def after_step(self, net: Net, state: dict[str, torch.Tensor], step: int) -> None:
        """Move the average towards the new weights."""
        import torch

        kept = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if name in state:
                    state[name] = state[name].to(parameter.device).lerp_(parameter, 1 - kept)

    def averaged(self, net: Net, state: dict[str, torch.Tensor]) -> AbstractContextManager[None]:
        """Put the average into the net, and the trained weights back afterwards."""
        return swapped(net, state)

    def tensors(self, state: dict[str, torch.Tensor]) -> dict[str, Any]:
        """The average."""
        return dict(state)

    def load(self, state: dict[str, torch.Tensor], tensors: dict[str, Any]) -> None:
        """Put a saved average back."""
        state.update(tensors)
