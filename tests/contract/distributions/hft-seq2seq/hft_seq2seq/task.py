"""The task `rewriting`: a text becomes another text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field

from hft_core import Columns, Facts, HeadSpec, Prediction, Roles, Task


class Rewriting(Task):
    """A text that is made of another one, written by greedy decoding."""

    type: Literal["rewriting"]
    source: str = "source"
    """Column with what is given."""
    target: str = "target"
    """Column with what is wanted."""
    max_tokens: int = Field(default=32, ge=1)
    """Longest output in tokens."""

    objective: ClassVar[str] = "rewrite"
    runtime: ClassVar[str] = "hft_seq2seq.runtime"
    gives: ClassVar[frozenset[str]] = frozenset({"text"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "exact-text"},)

    def roles(self) -> Roles:
        """The source is the text; what is predicted is the target."""
        return Roles(text=(self.source,), target=(self.target,), target_texts=(self.target,))

    def refusals(self, columns: Columns) -> list[str | None]:
        """Both texts are needed."""
        pairs = zip(columns[self.source], columns[self.target], strict=True)
        return [None if source and target else "empty-text" for source, target in pairs]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Nothing is learned."""
        return {}

    def head(self, facts: Facts) -> HeadSpec:
        """A distribution over the vocabulary for each next token."""
        return HeadSpec("seq2seq-lm")

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"text": …}`` per row."""
        return [{"text": text} for text in columns[self.target]]
