"""The technique `gradual-unfreezing`: training starts at the heads and reaches the input last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hft_core import RecipeError, Technique
from hft_plugins.techniques.by_part import trained

if TYPE_CHECKING:
    import torch

    from hft_core import Context, Net


@dataclass
class _State:
    opening: dict[str, int]
    """The step from which each parameter is trained, by name: parameters become others where weights are sharded."""
    closed: list[torch.nn.Parameter] = field(default_factory=list)
    """What this technique, and nothing else, has switched off for the current step."""


class GradualUnfreezing(Technique):
    """Trains the heads first, then one layer more at a time, from the top down (Howard & Ruder 2018).

    What is not yet trained keeps its weights (no weight decay either) and costs no backward pass, and Adam counts its
    steps from its opening. Parts of one depth open together. While a new head settles it is trained alone, whatever else
    is open. List `freeze` before it: what is frozen for good is no layer to wait for.
    """

    type: Literal["gradual-unfreezing"]
    every: float | None = Field(default=None, gt=0, lt=1)
    """Share of the stage's steps after which the next layer opens, such as 0.1. Default: the same share for each, so that
    the embeddings are trained in the last one (with 12 layers, 1/14)."""

    follows: ClassVar[frozenset[str]] = frozenset({"freeze"})
    allows_compact_table: ClassVar[bool] = True

    def prepare(self, net: Net, context: Context) -> _State:
        """Plan when which parameters open. Raises RecipeError if all would open at once, or the last ones never."""
        found = trained(net)
        depths = sorted({part.depth for part, _ in found}, reverse=True)
        count, steps = len(depths), context.steps
        opens = [
            place * steps // count if self.every is None else round(place * self.every * steps)
            for place in range(count)
        ]
        if not opens or opens[-1] == 0:
            names = ", ".join(dict.fromkeys(part.name for part, _ in found))
            raise RecipeError(
                f"technique gradual-unfreezing: everything that is trained ({names}) would open at the first of {steps} steps, "
                "which changes nothing; train longer, give a larger `every`, or remove it"
            )
        if opens[-1] >= steps:
            lowest = ", ".join(dict.fromkeys(part.name for part, _ in found if part.depth == depths[-1]))
            raise RecipeError(
                f"technique gradual-unfreezing: {lowest} would open after the last of {steps} steps, the {count} depths of this "
                f"model one every {self.every}; set `every` to less than {1 / (count - 1):.2g}, or freeze what is not to open"
            )
        step_of = dict(zip(depths, opens, strict=True))
        opens_at = {id(parameter): step_of[part.depth] for part, parameter in found}
        return _State({name: opens_at[id(p)] for name, p in net.named_parameters() if id(p) in opens_at})

    def before_step(self, net: Net, state: _State, step: int) -> None:
        """Switch off what is not open yet.

        A function of the step alone, so a resumed stage is as it was; and what something else has switched off (a head
        that settles, another technique) is not switched on here.
        """
        for parameter in state.closed:
            parameter.requires_grad_(True)
        state.closed = [
            parameter
            for name, parameter in net.named_parameters()
            if step < state.opening.get(name, 0) and parameter.requires_grad
        ]
        for parameter in state.closed:
            parameter.requires_grad_(False)
