"""The technique `swa`: the equal average of the last weights."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import RecipeError, Technique
from hft_plugins.techniques.swap import swapped

if TYPE_CHECKING:
    import torch

    from hft_core import Context, Net


@dataclass
class Average:
    """The mean of the weights so far."""

    first: int
    """The first step whose weights count; steps begin with 1."""
    trained: frozenset[str]
    """Names of the parameters that are trained; others need no mean."""
    count: int = 0
    """How many weights it is the mean of."""
    mean: dict[str, torch.Tensor] = field(default_factory=dict)
    """By name, the mean of each parameter."""


class SWA(Technique):
    """Averages the weights after each step from `start` on, all alike (Izmailov et al. 2018).

    Evaluation, the best epoch and the stage's end see the average once it has begun, and before that the weights as they
    are. A constant schedule suits it: weights that hardly move any more have nothing to average. Statistics in buffers
    (of batch normalisation) are those of the last step.
    """

    type: Literal["swa"]
    start: float = Field(default=0.75, ge=0, lt=1)
    """Share of the stage's steps after which the average begins."""

    excludes: ClassVar[frozenset[str]] = frozenset({"ema"})
    allows_compact_table: ClassVar[bool] = True

    def prepare(self, net: Net, context: Context) -> Average:
        """Begin with nothing. Raises RecipeError where only the last weights would be averaged."""
        first = math.floor(self.start * context.steps) + 1
        if first >= context.steps:
            raise RecipeError(
                f"technique swa: with `start: {self.start:g}` the average of this stage of {context.steps} steps would be "
                "its last weights alone; lower `start`, or train longer"
            )
        return Average(first, frozenset(name for name, parameter in net.named_parameters() if parameter.requires_grad))

    def after_step(self, net: Net, state: Average, step: int) -> None:
        """Take the new weights into the mean."""
        import torch

        if step < state.first:
            return
        state.count += 1
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if name not in state.trained:
                    continue
                if state.count == 1:
                    state.mean[name] = parameter.detach().clone()
                else:
                    mean = state.mean[name].to(parameter.device)  # a loaded one is on the CPU
                    state.mean[name] = mean.lerp_(parameter, 1 / state.count)

    def averaged(self, net: Net, state: Average) -> AbstractContextManager[None]:
        """Put the mean into the net, and the trained weights back afterwards."""
        return swapped(net, state.mean)

    def tensors(self, state: Average) -> dict[str, Any]:
        """The mean, and how many weights it is of."""
        import torch

        return {f"mean/{name}": tensor for name, tensor in state.mean.items()} | {"count": torch.tensor(state.count)}

    def load(self, state: Average, tensors: dict[str, Any]) -> None:
        """Put a saved mean back."""
        state.count = int(tensors["count"])
        means = {key.removeprefix("mean/"): tensor for key, tensor in tensors.items() if key != "count"}
        state.mean = means
