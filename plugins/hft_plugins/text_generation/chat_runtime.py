"""What chat does at predict time: messages become a prompt by the model's own template, the rest is text generation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from hft_core import DataError, PluginError
from hft_core.runtime.ragged import Ragged
from hft_plugins.text_generation.runtime import decode, postprocess, predict, prompted, room

__all__ = ["decode", "encode", "postprocess", "predict", "refusal", "rendered"]

REQUIRES = ("Jinja2",)
"""Templates are programs in its language; it runs them in a sandbox."""
JSON_TEXT = True
"""A bundle takes messages as lists, too, and hands them on as JSON text."""

_TODAY = date(2024, 7, 26)
"""The date that a template gets that asks for today's: always the same, or a bundle would predict otherwise tomorrow."""
_ANSWER = "the answer"
"""An answer behind which the template's closing token is looked for."""

Messages = list[dict[str, Any]]


def encode(
    settings: Mapping[str, Any], columns: Mapping[str, list[Any]], preprocessor: Any, facts: Any
) -> dict[str, Any]:
    """Give the ids of each conversation up to where the answer begins, and what `prompted` says.

    Of a long one the last, as many as leave room for `new_tokens`. The token that ends an answer is the one with which the
    template closes it, else the tokenizer's end of text.

    Raises PluginError where there is no template, DataError for messages that it does not take.
    """
    template, special = _template(settings, preprocessor), _special(preprocessor)
    conversations = [_messages(settings, columns, row) for row in range(len(columns[_column(settings)]))]
    longest = room(settings, preprocessor)
    texts = [rendered(template, messages, special) for messages in conversations]
    ids = Ragged.from_rows([tokens[-longest:] for tokens in preprocessor.bare(texts)])
    return prompted(settings, columns, preprocessor, ids, _closing(template, preprocessor, special))


def refusal(settings: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    """Say why a row cannot be answered; None where it can."""
    if not settings["messages"] or not isinstance(row, Mapping):
        return None
    reason = refused(row[settings["messages"]])
    if reason is None and not asked(parsed(row[settings["messages"]])):
        return "the only message is the assistant's, so there is nothing to answer"
    return reason


def asked(messages: Messages) -> Messages:
    """Give the messages without the last one if that is the assistant's: it is the answer, and never read."""
    return messages[:-1] if messages[-1]["role"] == "assistant" else messages


def parsed(value: Any) -> Any:
    """Give the messages of a value: as they are, or read from JSON. Raises ValueError where it is none."""
    return json.loads(value) if isinstance(value, str) else value


def refused(value: Any) -> str | None:
    """Say why a value is not a list of messages; None where it is."""
    try:
        messages = parsed(value)
    except (ValueError, RecursionError) as error:
        return f"the messages are not JSON ({error})"
    if not isinstance(messages, list) or not messages:
        return 'messages have to be a list [{"role": …, "content": …}, …]'
    for message in messages:
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            return 'a message has to have a "role" and a "content", both texts'
    return None


def rendered(template: str, messages: Messages, special: Mapping[str, str], answering: bool = True) -> str:
    """Render messages as transformers' `apply_chat_template` does; with `answering` up to where an answer begins.

    Raises DataError where the template refuses them, PluginError where it is no template or Jinja2 is missing.
    """
    program = compiled(template)
    try:
        # Without tools and documents, which templates ask for by `is not none`.
        given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": answering}
        return str(program.render(**given, **special))
    except Exception as error:  # a template is a program, and fails like one
        roles = ", ".join(str(message["role"]) for message in messages)
        raise DataError(f"chat: the model's chat template does not take messages of {roles}: {error}") from error


@lru_cache(maxsize=4)
def compiled(template: str) -> Any:
    """Give the template in the environment that those of the hub are written for: blocks take no line, loops may break.

    Raises PluginError where it is no template or Jinja2 is missing.
    """
    try:
        from jinja2 import TemplateError
        from jinja2.ext import Extension
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise PluginError('the task chat needs Jinja2; run: pip install "hft-core[text]"') from error

    class Generation(Extension):
        """`{% generation %}` marks what the assistant writes; here it says nothing new."""

        tags = {"generation"}  # noqa: RUF012  # as Jinja declares it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    environment.filters["tojson"] = _as_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = _TODAY.strftime
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise PluginError(f"chat: the chat template is not valid Jinja: {error}") from error


def _as_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """What `tojson` is in such templates; Jinja's own would escape what HTML does not take."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _template(settings: Mapping[str, Any], preprocessor: Any) -> str:
    """The task's own, else the one that came with the tokenizer."""
    template = settings.get("template") or preprocessor.settings().get("chat_template")
    if template is None:
        raise PluginError(
            "chat: the model's tokenizer has no chat template; set `template:` in the task, or take text-generation with "
            "`text:`, `answer:` and `prompt:`"
        )
    return str(template)


def _special(preprocessor: Any) -> dict[str, str]:
    """The special tokens as a template knows them, such as `eos_token`."""
    token = preprocessor.tokenizer.id_to_token
    return {f"{role}_token": token(id) for role, id in preprocessor.settings()["special"].items()}


def _closing(template: str, preprocessor: Any, special: Mapping[str, str]) -> int:
    """The token with which the template closes an answer, if it is a special one, else that of the end of text, or -1."""
    talk: Messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _ANSWER}]
    whole = rendered(template, talk, special, answering=False)
    behind = preprocessor.tokenizer.encode(whole.rpartition(_ANSWER)[2], add_special_tokens=False).ids
    added = preprocessor.tokenizer.get_added_tokens_decoder()
    if behind and behind[0] in added and added[behind[0]].special:
        return int(behind[0])
    return int(preprocessor.settings()["special"].get("eos", -1))


def _column(settings: Mapping[str, Any]) -> str:
    return str(settings["messages"] or settings["text"])


def _messages(settings: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], row: int) -> Messages:
    """The messages of a row: those it has, or its text as the user's; a `system` message before them."""
    own: Messages
    if settings["messages"]:
        value = columns[settings["messages"]][row]
        if reason := refused(value):
            raise DataError(
                f'chat: {reason}; found {str(value)[:100]!r}. Messages are a list such as [{{"role": "user", "content": "…"}}], '
                "also as JSON text, which text cleaners and augmenters see; leave out those that break it"
            )
        own = asked(parsed(value))
    else:
        own = [{"role": "user", "content": columns[settings["text"]][row]}]
    system = settings.get("system")
    return [{"role": "system", "content": system}, *own] if system and own[0]["role"] != "system" else own
