"""The forms in which data gives answers, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hft_plugins.readers.answers import found_again, misplaced


def arranged(
    contexts: Sequence[Any],
    lists: Sequence[Any] | None,
    texts: Sequence[Any],
    starts: Sequence[Any],
    repair: bool,
) -> list[Any]:
    """Give each row's answers as ``[{"start": …, "end": …, "text": …}, …]``; what is of no known form stays as it is.

    `lists` are the rows' lists of answers; without them each row has one, of `texts` and `starts`.
    """
    if lists is None:
        lists = [_of_two(text, start) for text, start in zip(texts, starts, strict=True)]
    found = [_as_spans(answers, context) for answers, context in zip(lists, contexts, strict=True)]
    if not repair:
        return found
    return [_repaired(context, spans) for context, spans in zip(contexts, found, strict=True)]


def _of_two(text: Any, start: Any) -> Any:
    """One answer of two columns, none where both are empty; numbers may be written as text."""
    if isinstance(start, str):
        start = start.strip()
        start = int(start) if start.removeprefix("-").isdecimal() and len(start) < 20 else start or None
    if isinstance(start, float) and start.is_integer():  # a column of numbers with gaps
        start = int(start)
    if (text is None or text == "") and start in (None, -1):
        return []
    return [{"text": text, "start": start}]


def _as_spans(answers: Any, context: Any) -> Any:
    """A list of answers in any of its forms as spans."""
    if isinstance(answers, Mapping):  # two lists, as SQuAD is kept in columns
        texts, starts = answers.get("text"), answers.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            return answers
        answers = [{"text": text, "start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(answers, list) or not all(isinstance(one, Mapping) for one in answers):
        return answers
    return [_span(one, context) for one in answers]


def _span(one: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Text and end each follow from the other, where one is left out."""
    text, start, end = one.get("text"), one.get("start", one.get("answer_start")), one.get("end")
    if end is None and _is_place(start) and isinstance(text, str):
        end = start + len(text)
    if text is None and _is_place(start) and _is_place(end) and isinstance(context, str) and start >= 0:
        text = context[start:end]
    return {"start": start, "end": end, "text": text}


def _repaired(context: Any, spans: Any) -> Any:
    """Move answers that stand elsewhere, and leave out those that stand nowhere, unless all do."""
    if not isinstance(context, str) or not isinstance(spans, list) or _no_answer_in(spans):
        return spans
    result = []
    for span in spans:
        if not isinstance(span["text"], str) or not _is_place(span["start"]):
            return spans
        if found := found_again(context, span["text"], span["start"]):
            at, text = found
            result.append({"start": at, "end": at + len(text), "text": text})
    return result or spans


def refusal(context: Any, question: Any, answers: Any) -> str | None:
    """Why a row with its answers arranged cannot be used, or None."""
    for name, value in (("context", context), ("question", question)):
        if value is not None and not isinstance(value, str):
            return f"not-a-text: the {name} is a {type(value).__name__}"
        if not value or not value.strip():
            return f"empty-{name}"
    if not isinstance(answers, list):
        return (
            f"not-a-list-of-answers: it is a {type(answers).__name__}; for one answer a row, see `answer:` of the task"
        )
    if odd := _no_answer_in(answers):
        return f"not-a-list-of-answers: {odd[0][:60]} is no answer {{…}}"
    return next((reason for one in answers if (reason := _answer_refusal(context, one))), None)


def _no_answer_in(answers: list[Any]) -> list[str]:
    """What of a list is no object; where all are, `_as_spans` has given them the same keys."""
    return [str(one) for one in answers if not isinstance(one, dict)]


def _answer_refusal(context: str, one: dict[str, Any]) -> str | None:
    start, end, text = one["start"], one["end"], one["text"]
    if not _is_place(start) or (text is None and not _is_place(end)):
        return f"answer-without-place: {str(one)[:100]} has no whole number for its first character"
    if not isinstance(text, str) and text is not None:
        return f"answer-is-no-text: {str(text)[:60]}"
    if text is not None and not text.strip():
        return "empty-answer"
    if text is None or not 0 <= start < end <= len(context):
        return f"answer-outside-context: {str(one)[:100]} in a context of {len(context)} characters"
    return f"bad-answer-offset: {misplaced(context, text, start)}" if context[start:end] != text else None


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
