"""The task `chat`: the answer to messages, written in the form that the model's chat template gives them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, Self

from pydantic import field_validator, model_validator

from hft_core import Columns, DataError, PluginError, Roles
from hft_plugins.text_generation.base import Continuing, refusal, require
from hft_plugins.text_generation.chat_runtime import asked, compiled, parsed, refused

_ANSWER = "answer"
"""The column into which the last of the messages goes."""


class Chat(Continuing):
    """Answers messages: instruction tuning.

    A decoder learns it by `causal-lm`, on the answers only. What comes before an answer is rendered by the chat template that
    came with the model's tokenizer, the same in training and in the bundle; the answer is closed by the token with which the
    template closes one. A row has a list of messages, of which the last is the assistant's, or a text and an answer. A
    prediction is `text` and `margin`, how close it was to being another; where the answer is known, also `nll`, the negative
    log-likelihood of its tokens in nats, and `tokens`, how many there are.
    """

    type: Literal["chat"]
    messages: str | None = None
    """Column with the messages, ``[{"role": "user", "content": …}, …]``, as lists or as JSON text; default: one called
    `messages`, unless `text` is set. An answer that stands before others is read, not learned."""
    system: str | None = None
    """What stands before all messages that do not begin with the system's own."""
    template: str | None = None
    """A chat template (Jinja) in place of the one that came with the tokenizer, or where none did."""

    runtime: ClassVar[str] = "hft_plugins.text_generation.chat_runtime"
    packages: ClassVar[tuple[str, ...]] = ("Jinja2",)

    @field_validator("template")
    @classmethod
    def _is_jinja(cls, template: str | None) -> str | None:
        """A template that cannot be read is refused before anything is trained."""
        if template is not None and find_spec("jinja2") is not None:
            try:
                compiled(template)
            except PluginError as error:
                raise ValueError(str(error)) from error
        return template

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        """Messages and texts exclude each other."""
        if self.messages is not None and self.text is not None:
            raise ValueError("`messages` and `text` are two forms of what is asked; set one of them")
        return self

    def bind(self, sample: Columns) -> Self:
        """Settle the columns from a sample of rows."""
        messages = self.messages or ("messages" if self.text is None and "messages" in sample else None)
        if messages is not None:
            require(sample, "messages", messages)
            return self.model_copy(update={"messages": messages, "answer": _ANSWER})
        names = {"text": self.text or "text", "answer": self.answer or _ANSWER}
        for role, column in names.items():
            require(sample, role, column)
        if names["text"] == names["answer"]:
            raise DataError(f"task: text and answer are the same column {self.text!r}; set `text:` and `answer:`")
        return self.model_copy(update=names)

    def arrange(self, columns: Columns) -> Columns:
        """Divide messages into those that are read, as JSON text, and the answer."""
        if self.messages is None or self.messages not in columns:
            return columns
        divided = [_divided(value) for value in columns[self.messages]]
        return columns | {self.messages: [read for read, _ in divided], _ANSWER: [answer for _, answer in divided]}

    def roles(self) -> Roles:
        """What is asked, and the answer to it."""
        return Roles(
            text=(str(self.messages or self.text),), target=(str(self.answer),), target_texts=(str(self.answer),)
        )

    def invented(self, texts: Sequence[str]) -> Columns:
        """A message of the user each, or a text."""
        if self.messages is None:
            return {str(self.text): list(texts)}
        return {self.messages: [json.dumps([{"role": "user", "content": text}], ensure_ascii=False) for text in texts]}

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs messages with a text and a role each, the last the assistant's; or a text and an answer."""
        pairs = zip(columns[str(self.messages or self.text)], columns[str(self.answer)], strict=True)
        if self.messages is None:
            return [refusal(text, "text") or refusal(answer, "answer") for text, answer in pairs]
        return [_refusal(value, answer) for value, answer in pairs]


def _divided(value: Any) -> tuple[Any, Any]:
    """Give the messages without the last one, as JSON text, and what that says if it is the assistant's."""
    if refused(value) is not None:
        return value, None
    messages = parsed(value)
    read = asked(messages)
    if len(read) == len(messages) or not read:
        return value, None
    return json.dumps(read, ensure_ascii=False), messages[-1]["content"]


def _refusal(value: Any, answer: Any) -> str | None:
    if reason := refused(value):
        return f"no-messages: {reason}"
    if answer is None:
        return "no-answer: the last message is not the assistant's, or the only one"
    return refusal(answer, "answer")
