"""The task `text-pairs`: two texts that mean the same get vectors that point the same way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import Columns, Facts, HeadSpec, Prediction, Roles, Task

if TYPE_CHECKING:
    import torch


class TextPairs(Task):
    """A vector for each of two texts, and their similarity."""

    type: Literal["text-pairs"]
    anchor: str = "anchor"
    """Column with one text."""
    positive: str = "positive"
    """Column with the other text of the pair."""
    size: int = Field(default=16, ge=1)
    """Length of the vectors."""

    objective: ClassVar[str] = "contrastive"
    runtime: ClassVar[str] = "hft_contrastive.runtime"
    gives: ClassVar[frozenset[str]] = frozenset({"score", "vectors"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "pair-retrieval"},)

    def roles(self) -> Roles:
        """Both columns are read as text; no column has a target."""
        return Roles(text=(self.anchor, self.positive))

    def refusals(self, columns: Columns) -> list[str | None]:
        """Both texts are needed."""
        pairs = zip(columns[self.anchor], columns[self.positive], strict=True)
        return [None if anchor and positive else "empty-text" for anchor, positive in pairs]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Nothing is learned."""
        return {}

    def head(self, facts: Facts) -> HeadSpec:
        """A mean over the tokens, and a linear layer."""
        return HeadSpec("mean-pooled", size=self.size, factory=self._head)

    def _head(self, width: int) -> torch.nn.Module:
        from hft_contrastive.head import MeanPooled

        return MeanPooled(width, self.size)

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """Nothing to compare with but the other rows."""
        return [{} for _ in columns[self.anchor]]
