"""The technique `rates`: factors of the learning rate for parts of the net."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from hft_core import ParamGroup, RecipeError, Technique
from hft_plugins.techniques.by_part import means, no_such_part, owners, scaled

if TYPE_CHECKING:
    from hft_core import Net, Part


class Rates(Technique):
    """Multiplies the learning rate of parts by factors (Howard & Ruder 2018, "discriminative fine-tuning").

    Where several entries mean a part, the longest one counts that its name begins with, and a kind last. Other factors,
    such as those of layerwise-decay, are multiplied with it.
    """

    type: Literal["rates"]
    factors: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    """Factor by name or kind of a part, such as `{head: 10, embeddings: 0.1, layer.0: 0.5}`; other parts have 1."""

    repeatable: ClassVar[bool] = True
    allows_compact_table: ClassVar[bool] = True

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Split each group by factor. Raises RecipeError for a name that means nothing, and if no rate would change."""
        owner = owners(net)
        found = [owner[id(p)] for group in groups for p in group.params if id(p) in owner]
        for name in self.factors:
            if not any(means(name, part) for part in found):
                raise no_such_part("rates", name, sorted(found, key=lambda part: part.depth))
        scale_of = {parameter: self._factor(part) for parameter, part in owner.items()}
        if all(self._factor(part) == 1 for part in found):
            raise RecipeError("technique rates: every factor is 1, which changes nothing; give others, or remove it")
        return scaled(groups, scale_of)

    def _factor(self, part: Part) -> float:
        """The factor of a part: that of the name that says most about it."""
        names = [name for name in self.factors if means(name, part)]
        names.sort(key=lambda name: len(name) if f"{part.name}.".startswith(f"{name}.") else 0)
        return self.factors[names[-1]] if names else 1.0
