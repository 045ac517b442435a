"""The task `text-to-text`: one text becomes another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from hft_core import Columns, DataError, Facts, HeadSpec, Prediction, Roles, Task
from hft_plugins.text_generation.decoding import DecodingSettings

_TEXT_NAMES = ("text", "source", "input", "document", "article", "question", "原文")
_TARGET_NAMES = ("target", "translation", "summary", "output", "answer", "译文", "摘要")


class TextToText(Task):
    """Writes another text for a text: a translation, a summary, a correction.

    An encoder-decoder learns it by `seq2seq`. A prediction is `text`, and `margin`, how close it was to being another.
    """

    type: Literal["text-to-text"]
    text: str | None = None
    """Column with the text that is read; found by itself if left out: one called text, source, document, …, or the first."""
    target: str | None = None
    """Column with the text that is wanted; found by itself if left out: one called target, translation, summary, …, or the
    one that is left of two."""
    new_tokens: int = Field(default=64, ge=1)
    """Tokens to write at most, no more than the model's `max_length`."""

    decoding: DecodingSettings = DecodingSettings()
    """How the next token is chosen: greedy by default, `{beams: 4}`, or `{sample: true, temperature: 0.8, top_p: 0.9}`.
    With beams, the figures after each epoch, by which the best one is chosen, are still greedy's; final figures are not."""

    objective: ClassVar[str] = "seq2seq"
    runtime: ClassVar[str] = "hft_plugins.text_to_text.runtime"
    head_type: ClassVar[str] = "seq2seq-lm"
    autoregressive: ClassVar[bool] = True
    gives: ClassVar[frozenset[str]] = frozenset({"text"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "chrf"}, {"type": "exact-match"})

    def bind(self, sample: Columns) -> Self:
        """Settle the two columns from a sample of rows."""
        target = self.target or _named(sample, _TARGET_NAMES, self.text) or _left(sample, self.text)
        text = (
            self.text or _named(sample, _TEXT_NAMES, target) or next((name for name in sample if name != target), None)
        )
        for role, column in (("text", text), ("target", target)):
            if column is None or column not in sample:
                what = "does not tell which column is" if column is None else f"has no column {column!r} for"
                raise DataError(
                    f"task: the data {what} the {role}; its columns are {', '.join(sample)}. Set `{role}:` in the recipe's "
                    "task"
                )
        if text == target:
            raise DataError(f"task: text and target are the same column {text!r}; set `text:` and `target:`")
        return self.model_copy(update={"text": text, "target": target})

    def roles(self) -> Roles:
        """One text is read, the other is wanted."""
        return Roles(text=(str(self.text),), target=(str(self.target),), target_texts=(str(self.target),))

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs both, and both are strings."""
        pairs = zip(columns[str(self.text)], columns[str(self.target)], strict=True)
        return [_refusal(text, "text") or _refusal(target, "target") for text, target in pairs]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Nothing is learned."""
        return {}

    def measuring(self, needs: frozenset[str]) -> Self:
        """Between epochs one beam has to do: several take as many times the work, and only the weights are compared."""
        return self if self.decoding.beams == 1 else self.model_copy(update={"decoding": DecodingSettings()})

    def head(self, facts: Facts) -> HeadSpec:
        """A distribution over the vocabulary for each next token."""
        return HeadSpec(self.head_type, settle=0.1)

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"text": …}`` per row."""
        return [{"text": text} for text in columns[str(self.target)]]


def _refusal(value: Any, role: str) -> str | None:
    if value is not None and not isinstance(value, str):
        return f"{role}-is-no-text"
    return None if value and value.strip() else f"empty-{role}"


def _named(sample: Columns, names: tuple[str, ...], taken: str | None) -> str | None:
    return next((column for name in names for column in sample if column.lower() == name and column != taken), None)


def _left(sample: Columns, text: str | None) -> str | None:
    """The second of two columns, or the one that is not the text."""
    names = [name for name in sample if name != text]
    return names[-1] if len(sample) == 2 else None
