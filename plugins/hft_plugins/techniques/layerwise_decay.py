"""The technique `layerwise-decay`: lower learning rates nearer to the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hft_core import ParamGroup, RecipeError, Technique
from hft_plugins.techniques.by_part import owners, scaled

if TYPE_CHECKING:
    from hft_core import Net


class LayerwiseDecay(Technique):
    """Multiplies the learning rate by `rate` for every layer below the heads (Howard & Ruder 2018)."""

    type: Literal["layerwise-decay"]
    rate: float = Field(default=0.95, gt=0, le=1)
    """Factor per layer; the embeddings are one layer."""

    allows_compact_table: ClassVar[bool] = True

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Split each group by the depth of its parameters. Raises RecipeError if all keep their rate."""
        depths = sorted({part.depth for part in net.parts()}, reverse=True)
        owner = owners(net)
        found = [owner[id(p)] for group in groups for p in group.params if id(p) in owner]
        if self.rate == 1 or all(part.depth == depths[0] for part in found):
            names = ", ".join(dict.fromkeys(part.name for part in found))
            raise RecipeError(
                f"technique layerwise-decay: with `rate: {self.rate:g}` every part that is trained ({names}) keeps its "
                "learning rate; lower the rate, freeze less, or remove it"
            )
        return scaled(groups, {key: self.rate ** depths.index(part.depth) for key, part in owner.items()})
