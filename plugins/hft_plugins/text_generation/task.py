"""The task `text-generation`: texts go on."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from hft_core import Columns, DataError, Roles
from hft_plugins.text_generation.base import Continuing, refusal, require


class TextGeneration(Continuing):
    """Goes on from a text, token by token, and says how likely the text itself was; or answers a text.

    A decoder learns it by `causal-lm`, on whole texts, or with `answer` on the answers. A prediction is `text`, what comes
    after the given text; `margin`, how close that was to being another; and without `answer` also `nll`, the negative
    log-likelihood of the given text, in nats: of its tokens after the first and of the one that ends it; and `tokens`, how
    many those are.
    """

    type: Literal["text-generation"]
    prompt: str = Field(default="{text}", pattern=r"\{text\}")
    """What the model goes on from, with the text in place of `{text}`, such as `"Question: {text}\\nAnswer:"`."""

    runtime: ClassVar[str] = "hft_plugins.text_generation.runtime"

    def bind(self, sample: Columns) -> Self:
        """Settle the text column from a sample of rows."""
        for role, column in (("text", self.text), ("answer", self.answer)):
            require(sample, role, column)
        text = self.text or _text_column({name: sample[name] for name in sample if name != self.answer})
        if text == self.answer:
            raise DataError(f"task: text and answer are the same column {text!r}; set `text:` and `answer:`")
        return self.model_copy(update={"text": text})

    def roles(self) -> Roles:
        """The text is both given and wanted; or it is given, and the answer wanted."""
        answer = () if self.answer is None else (self.answer,)
        return Roles(text=(str(self.text),), target=answer, target_texts=answer)

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs a text, which is a string, and so is the answer where there should be one."""
        found = [refusal(text, "text") for text in columns[str(self.text)]]
        if self.answer is None:
            return found
        pairs = zip(found, columns[self.answer], strict=True)
        return [reason or refusal(answer, "answer") for reason, answer in pairs]


def _text_column(sample: Columns) -> str:
    if "text" in sample:
        return "text"
    return max(sample, key=lambda name: sum(len(str(value or "")) for value in sample[name]))
