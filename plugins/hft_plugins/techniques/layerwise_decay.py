"""The technique `layerwise-decay`: lower learning rates nearer to the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from hft_core import ParamGroup, Technique

if TYPE_CHECKING:
    from hft_core import Net


class LayerwiseDecay(Technique):
    """Multiplies the learning rate by `rate` for every layer below the heads (Howard & Ruder 2018)."""

    type: Literal["layerwise-decay"]
    rate: float = Field(default=0.95, gt=0, le=1)
    """Factor per layer; the embeddings are one layer."""

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Split each group by the depth of its parameters."""
        parts = net.parts()
        depths = sorted({part.depth for part in parts}, reverse=True)
        scale_of: dict[int, float] = {}
        for part in parts:  # the first part that holds a shared parameter owns it
            for parameter in part.module.parameters():
                scale_of.setdefault(id(parameter), self.rate ** depths.index(part.depth))
        result: list[ParamGroup] = []
        for group in groups:
            by_scale: dict[float, ParamGroup] = {}
            for name, parameter in zip(group.names, group.params, strict=True):
                scale = group.lr_scale * scale_of.get(id(parameter), 1.0)
                part_group = by_scale.setdefault(scale, ParamGroup([], [], scale, group.decay))
                part_group.names.append(name)
                part_group.params.append(parameter)
            result += by_scale.values()
        return result
