"""The technique `freeze`: parts of the net that keep their weights."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from hft_core import RecipeError, Technique
from hft_plugins.techniques.by_part import means, no_such_part, trained

if TYPE_CHECKING:
    import torch

    from hft_core import Context, Net, Part


class Freeze(Technique):
    """Keeps parts of the model as they are.

    Lee, Tang & Lin 2019, "What would Elsa do? Freezing layers during transformer fine-tuning". What any of its settings
    means is frozen: it is not in the optimizer, and where nothing below it is trained either, no gradient is computed
    for it. Dropout goes on. A weight that two parts share lies in the lower one: freezing a head leaves the embeddings
    that its output layer is tied to.
    """

    type: Literal["freeze"]
    parts: list[str] = Field(default_factory=list)
    """Names or kinds of parts: `embeddings`, `layer.0`, `layer` (all layers, and what lies behind them), `head.main`."""
    patterns: list[str] = Field(default_factory=list)
    """Regular expressions; a parameter is frozen if one is found in its name, such as `LayerNorm` or `bias$`."""
    below: float | None = Field(default=None, gt=0, le=1)
    """Freeze what lies less deep: 0 is the input, 1 the heads. With 12 layers, 0.5 freezes the embeddings and layers 0 to 5."""

    repeatable: ClassVar[bool] = True
    allows_compact_table: ClassVar[bool] = True

    @field_validator("patterns")
    @classmethod
    def _patterns_compile(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.parts and not self.patterns and self.below is None:
            raise ValueError("name what to freeze: `parts:`, `patterns:` or `below:`")
        return self

    def prepare(self, net: Net, context: Context) -> None:
        """Switch `requires_grad` off. Raises RecipeError for a setting that means nothing, and where nothing is left."""
        found = trained(net)
        frozen = [*self._by_part(found), *self._by_name(net), *self._by_depth(found)]
        for parameter in frozen:
            parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in net.parameters()):
            raise RecipeError("technique freeze: nothing is left to train; freeze less, the heads at least not")

    def _by_part(self, found: list[tuple[Part, torch.nn.Parameter]]) -> list[torch.nn.Parameter]:
        chosen = []
        for name in self.parts:
            meant = [parameter for part, parameter in found if means(name, part)]
            if not meant:
                raise no_such_part("freeze", name, [part for part, _ in found])
            chosen += meant
        return chosen

    def _by_name(self, net: Net) -> list[torch.nn.Parameter]:
        named = [(name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad]
        chosen = []
        for pattern in self.patterns:
            meant = [parameter for name, parameter in named if re.search(pattern, name)]
            if not meant:
                alike = dict.fromkeys(re.sub(r"\.\d+\.", ".*.", name) for name, _ in named)  # layers are named alike
                raise RecipeError(
                    f"technique freeze: the pattern {pattern!r} is found in no name of a parameter that is trained; nearest "
                    f"are {', '.join(get_close_matches(pattern, alike, n=6, cutoff=0.0))} (* is a number)"
                )
            chosen += meant
        return chosen

    def _by_depth(self, found: list[tuple[Part, torch.nn.Parameter]]) -> list[torch.nn.Parameter]:
        if self.below is None:
            return []
        meant = [parameter for part, parameter in found if part.depth < self.below]
        if not meant:
            depths = ", ".join(dict.fromkeys(f"{part.name} ({part.depth:.3g})" for part, _ in found))
            raise RecipeError(
                f"technique freeze: nothing that is trained lies below {self.below}; the depths are {depths}"
            )
        return meant
