"""The technique `layerwise-decay`: lower learning rates nearer to the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from hft_core import ParamGroup, Technique
from hft_plugins.techniques.by_part import owners, scaled

if TYPE_CHECKING:
    from hft_core import Net


class LayerwiseDecay(Technique):
    """Multiplies the learning rate by `rate` for every layer below the heads (Howard & Ruder 2018)."""

    type: Literal["layerwise-decay"]
    rate: float = Field(default=0.95, gt=0, le=1)
    """Factor per layer; the embeddings are one layer."""

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Split each group by the depth of its parameters."""
        depths = sorted({part.depth for part in net.parts()}, reverse=True)
        return scaled(groups, {key: self.rate ** depths.index(part.depth) for key, part in owners(net).items()})
