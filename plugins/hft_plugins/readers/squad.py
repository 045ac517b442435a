"""Reader of questions with answers in a text, in the form of SQuAD."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from hft_core import DataError, Refusal, Rows
from hft_plugins.readers.answers import found_again, misplaced
from hft_plugins.readers.json_list import LONE_BYTES, elements
from hft_plugins.readers.source import TextFileReader, batched

_MISPLACED = "bad-answer-offset"
_VALUE = r'"(?:[^"\\]|\\.)*"|[^\s\[\]{}",]+|\{[^{}]*\}|\[[^\[\]]*\]'
_DATA = re.compile(rf'\s*\{{(?:\s*"(?:[^"\\]|\\.)*"\s*:\s*(?:{_VALUE})\s*,)*\s*"data"\s*:\s*\[')
"""What stands before the first article: perhaps other keys, such as a version."""
_COLUMNS = ("id", "title", "context", "question", "answers")


class _Fault(ValueError):
    """Why a question cannot be used."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


class _Unreadable(str):
    """An article that is no JSON, as it stands in the file."""


class SquadReader(TextFileReader):
    """Questions on paragraphs, in the JSON of SQuAD (1.1 and 2.0), CMRC, DRCD, XQuAD, …; one row per question.

    The columns are `id`, `title`, `context`, `question` and `answers`: a list of `{"start", "end", "text"}` in characters
    of the context, empty for a question that has no answer there. A place is the number of the question in the file. A
    question is refused whose answer does not stand where `answer_start` says, unless `repair_offsets` finds it elsewhere.
    Articles are read one by one.
    """

    type: Literal["squad"]
    repair_offsets: bool = False
    """Take an answer that does not stand where `answer_start` says from where it does stand, the place that is nearest, if
    need be without a mark at its ends; and of several answers leave out those that stand nowhere."""

    def found(self) -> dict[str, str]:
        """The encoding, and how many answers were moved or left out."""
        found = super().found()
        if self.repair_offsets:
            questions = chain.from_iterable(map(self._questions, self.files()))
            found["repaired answers"] = str(sum(map(_repaired_answers, questions)))
        return found

    def read_file(self, path: Path) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals.

        Refusals: `invalid-json` (an article), `bad-answer-offset`, `missing-context`, `missing-question`, `missing-answer`,
        `malformed-answer`, `malformed-question`, `malformed-paragraph`.
        """
        yield from batched(
            self._records(path), lambda records: {name: [row[name] for row in records] for name in _COLUMNS}
        )

    def _records(self, path: Path) -> Iterator[tuple[int, dict[str, Any] | Refusal]]:
        for place, (title, paragraph, question) in enumerate(self._questions(path), 1):
            try:
                yield place, _record(title, paragraph, question, self.repair_offsets)
            except _Fault as fault:
                raw = question if isinstance(question, _Unreadable) else json.dumps(question, ensure_ascii=False)
                yield place, Refusal(place, fault.reason, str(fault), raw.encode(errors="backslashreplace"))

    def _questions(self, path: Path) -> Iterator[tuple[Any, Any, Any]]:
        """Give title, paragraph and question of each question; a paragraph that has no list of them counts as one."""
        for article in self._articles(path):
            paragraphs = article.get("paragraphs") if isinstance(article, Mapping) else None
            if not isinstance(paragraphs, list):
                yield None, None, article
                continue
            for paragraph in paragraphs:
                questions = paragraph.get("qas") if isinstance(paragraph, Mapping) else None
                for question in questions if isinstance(questions, list) else [paragraph]:
                    yield article.get("title"), paragraph if isinstance(questions, list) else None, question

    def _articles(self, path: Path) -> Iterator[Any]:
        """Give the articles one by one, as they stand where they are no JSON."""
        empty = True
        with self.lines(path) as lines:
            for article in elements(lines.text(), _DATA) or ():
                empty = False
                try:
                    sound = article.whole and not LONE_BYTES.search(article.text)
                    yield json.loads(article.text) if sound else _Unreadable(article.text)
                except (ValueError, RecursionError):
                    yield _Unreadable(article.text)
        if empty:
            raise DataError(
                f'{path}: this is not the form of SQuAD, {{"data": [{{"paragraphs": […]}}]}}; correct `type:`'
            )


def _record(title: Any, paragraph: Any, question: Any, repair: bool = False) -> dict[str, Any]:
    """Make the row of a question. Raises _Fault where it cannot be used."""
    if isinstance(question, _Unreadable):
        raise _Fault("invalid-json", "the article is no JSON, or the list of articles is not closed behind it")
    if paragraph is None:
        raise _Fault(
            "malformed-paragraph", "there is no list of paragraphs, or no list `qas` of questions, in an object"
        )
    if not isinstance(question, Mapping):
        raise _Fault("malformed-question", f"a question is a JSON {type(question).__name__}, not an object")
    context = paragraph.get("context")
    text = question.get("question")
    for reason, value in (("missing-context", context), ("missing-question", text)):
        if not isinstance(value, str) or not value.strip():
            raise _Fault(reason, f"expected a text, found {str(value)[:60]!r}")
    answers = question.get("answers")
    if question.get("is_impossible") is True:
        answers = []
    elif not isinstance(answers, list) or (not answers and question.get("is_impossible") is None):
        raise _Fault(
            "missing-answer", "the question has no answer, and `is_impossible` does not say that it needs none"
        )
    key, name = question.get("id"), title if isinstance(title, str) else None
    found = _answers(answers, context, repair)
    return dict(zip(_COLUMNS, (None if key is None else str(key), name, context, text, found), strict=True))


def _answers(answers: list[Any], context: str, repair: bool) -> list[dict[str, Any]]:
    """Check all answers to a question; with `repair`, one that stands somewhere is enough."""
    found, nowhere = [], []
    for answer in answers:
        try:
            found.append(_answer(answer, context, repair))
        except _Fault as fault:
            if not repair or fault.reason != _MISPLACED:
                raise
            nowhere.append(fault)
    if nowhere and not found:
        raise nowhere[0]
    return found


def _answer(answer: Any, context: str, repair: bool) -> dict[str, Any]:
    """Check an answer against the context; with `repair`, find it there."""
    text = answer.get("text") if isinstance(answer, Mapping) else None
    start = answer.get("answer_start") if isinstance(answer, Mapping) else None
    if not isinstance(text, str) or not text.strip() or not isinstance(start, int) or isinstance(start, bool):
        raise _Fault("malformed-answer", f"expected `text` and a whole number `answer_start`, found {str(answer)[:80]}")
    if start < 0 or not context.startswith(text, start):
        moved = found_again(context, text, start) if repair else None
        if moved is None:
            raise _Fault(_MISPLACED, misplaced(context, text, start))
        start, text = moved
    return {"start": start, "end": start + len(text), "text": text}


def _repaired_answers(question: tuple[Any, Any, Any]) -> int:
    """How many answers of a usable question are not as the file has them."""
    try:
        kept = {(one["start"], one["text"]) for one in _record(*question, repair=True)["answers"]}
    except _Fault:
        return 0
    given = question[2]["answers"] if kept else []
    return sum((one["answer_start"], one["text"]) not in kept for one in given)
