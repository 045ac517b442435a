"""What tasks share in which a decoder goes on from a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from pydantic import Field

from hft_core import Columns, DataError, Facts, HeadSpec, Prediction, Task
from hft_plugins.text_generation.decoding import DecodingSettings


class Continuing(Task):
    """Goes on from a prompt, token by token."""

    text: str | None = None
    """Column with the text; found by itself if left out: one called `text`, or the one with the longest entries."""
    answer: str | None = None
    """Column with what should come after the text. Then only the answer is learned, and measured."""
    new_tokens: int = Field(default=20, ge=1)
    """Tokens to write at most; of a long text the beginning is cut so that these fit into the model's longest input."""

    decoding: DecodingSettings = DecodingSettings()
    """How the next token is chosen: greedy by default, `{beams: 4}`, or `{sample: true, temperature: 0.8, top_p: 0.9}`.
    With beams, the figures after each epoch, by which the best one is chosen, are still greedy's; final figures are not."""

    write: bool = True
    """Whether to write at all; without it a prediction has `nll` and `tokens` only."""

    objective: ClassVar[str] = "causal-lm"
    head_type: ClassVar[str] = "causal-lm"
    autoregressive: ClassVar[bool] = True
    gives: ClassVar[frozenset[str]] = frozenset({"text", "nll", "tokens"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "perplexity"},)

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Nothing is learned."""
        return {}

    def measuring(self, needs: frozenset[str]) -> Self:
        """Perplexity needs no continuation, which costs most of the time; other figures between epochs one beam only."""
        if "text" not in needs:
            return self.model_copy(update={"write": False})
        return self if self.decoding.beams == 1 else self.model_copy(update={"decoding": DecodingSettings()})

    def head(self, facts: Facts) -> HeadSpec:
        """A distribution over the vocabulary for each next token."""
        return HeadSpec(self.head_type, settle=0.1)

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"text": …}`` per row where there are answers; without, what should come after a text is not known."""
        if self.answer is None:
            return [{} for _ in columns[str(self.text)]]
        return [{"text": answer} for answer in columns[self.answer]]


def require(sample: Columns, role: str, column: str | None) -> None:
    """Raise DataError where the data lacks a column that the recipe names."""
    if column is not None and column not in sample:
        raise DataError(
            f"task: the data has no column {column!r} for {role}; its columns are {', '.join(sample)}. "
            f"Set `{role}:` in the recipe's task"
        )


def refusal(value: Any, role: str) -> str | None:
    """Why a value cannot be used as a text of this role; None where it can."""
    if value is not None and not isinstance(value, str):
        return f"{role}-is-no-text"
    return None if value and value.strip() else f"empty-{role}"
