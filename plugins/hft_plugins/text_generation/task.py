"""The task `text-generation`: texts go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from hft_core import Columns, DataError, Facts, HeadSpec, Prediction, Roles, Task


class TextGeneration(Task):
    """Goes on from a text, token by token the most likely one, and says how likely the text itself was.

    A decoder learns it by `causal-lm`, on whole texts. A prediction is `text`, what comes after the given text; `margin`,
    how close that was to being another; `nll`, the negative log-likelihood of the given text's tokens after the first,
    in nats; and `tokens`, how many those are.
    """

    type: Literal["text-generation"]
    text: str | None = None
    """Column with the text; found by itself if left out: one called `text`, or the one with the longest entries."""
    new_tokens: int = Field(default=20, ge=1)
    """Tokens to write at most; of a long text the beginning is cut so that these fit into the model's longest input."""

    write: bool = True
    """Whether to write at all; without it a prediction has `nll` and `tokens` only."""

    objective: ClassVar[str] = "causal-lm"
    runtime: ClassVar[str] = "hft_plugins.text_generation.runtime"
    gives: ClassVar[frozenset[str]] = frozenset({"text", "nll", "tokens"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "perplexity"},)

    def bind(self, sample: Columns) -> Self:
        """Settle the text column from a sample of rows."""
        if self.text is not None and self.text not in sample:
            raise DataError(
                f"task: the data has no column {self.text!r} for text; its columns are {', '.join(sample)}. "
                "Set `text:` in the recipe's task"
            )
        return self.model_copy(update={"text": self.text or _text_column(sample)})

    def roles(self) -> Roles:
        """The text is both given and wanted."""
        return Roles(text=(str(self.text),))

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs a text, which is a string."""
        return [_refusal(text) for text in columns[str(self.text)]]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Nothing is learned."""
        return {}

    def measuring(self, needs: frozenset[str]) -> Self:
        """Perplexity needs no continuation, which costs most of the time."""
        return self if "text" in needs else self.model_copy(update={"write": False})

    def head(self, facts: Facts) -> HeadSpec:
        """A distribution over the vocabulary for each next token."""
        return HeadSpec("causal-lm", settle=0.1)

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """Nothing per row: what should come after a text is not known, and the text's likelihood needs no target."""
        return [{} for _ in columns[str(self.text)]]


def _refusal(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        return "not-a-text"
    return None if value and value.strip() else "empty-text"


def _text_column(sample: Columns) -> str:
    if "text" in sample:
        return "text"
    return max(sample, key=lambda name: sum(len(str(value or "")) for value in sample[name]))
