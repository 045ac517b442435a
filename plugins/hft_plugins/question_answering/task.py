"""The task `question-answering`: the stretch of a text that answers a question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from hft_core import Arrays, Columns, DataError, Facts, HeadSpec, Prediction, Ragged, Roles, Task
from hft_plugins.question_answering import threshold
from hft_plugins.question_answering.columns import arranged, refusal
from hft_plugins.question_answering.runtime import NO_ANSWER, candidates
from hft_plugins.question_answering.scoring import rules_of
from hft_plugins.question_answering.spans import tokens_of_text, trimmed

UNLABELLED = -100
"""The label of a window with nothing to learn: its context's answer fits into no window."""


class QuestionAnswering(Task):
    """The answer to a question, a stretch of a given text (the context), or none.

    The data gives the answers as a list per row, ``[{"text": "Anna", "start": 0}]``, as the reader `squad` and JSON Lines
    do (`answer_start` for `start` serves as well, and so do SQuAD's two lists in one object); or, as in CSV, one answer in
    two columns, its text and the number of its first character in the context. No answer: an empty list, or an empty
    text. A long context is read in overlapping windows, each behind the question.
    """

    type: Literal["question-answering"]
    context: str = "context"
    """Column with the text that holds the answer."""
    question: str = "question"
    """Column with the question."""
    answers: str = "answers"
    """Column with the list of answers."""
    answer: str = "answer"
    """Column with the answer's text, where there is no column `answers`."""
    answer_start: str = "answer_start"
    """Column with the number of the answer's first character in the context, counted from 0, beside `answer`."""
    repair_offsets: bool = False
    """Take an answer that does not stand where its number says from where it does stand, the place that is nearest, if need
    be without a mark at its ends; and of several answers leave out those that stand nowhere. Such rows are refused
    otherwise."""
    overlap: int | None = Field(default=None, ge=0)
    """Tokens that neighbouring windows of a long context share, at most half a window; default: 128, or a third of a
    window where that is less. A longer answer may fit into no window."""
    question_length: int = Field(default=64, ge=1)
    """Tokens of a question that are read, at most half a window; the rest of a longer one is cut off."""
    max_answer_length: int = Field(default=30, ge=1)
    """Tokens of the longest answer that is given."""
    no_answer: bool | None = None
    """Whether the answer may be that there is none; default: whether training rows have no answer."""
    n_best: int = Field(default=5, ge=1)
    """Answers that a prediction lists."""

    objective: ClassVar[str] = "answer-span"
    runtime: ClassVar[str] = "hft_plugins.question_answering.runtime"
    head_type: ClassVar[str] = "question-answering"
    gives: ClassVar[frozenset[str]] = frozenset({"answer"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "answer-f1"}, {"type": "answer-exact-match"})

    def bind(self, sample: Columns) -> Self:
        """Check that the columns are there: context, question, and answers in one of their forms."""
        self._require_columns(sample)
        return self

    def _require_columns(self, columns: Columns) -> None:
        wanted = {"context": self.context, "question": self.question}
        if self.answers not in columns:
            wanted |= {"answer": self.answer, "answer_start": self.answer_start}
        for role, column in wanted.items():
            if column not in columns:
                or_list = f" or, as a list, {self.answers!r} for answers" if role.startswith("answer") else ""
                raise DataError(
                    f"task: the data has no column {column!r} for {role}{or_list}; its columns are {', '.join(columns)}. "
                    f"Set `{role}:` in the recipe's task"
                )

    def arrange(self, columns: Columns) -> Columns:
        """Make the answers' column of the other forms; with `repair_offsets`, move answers to where they stand.

        Raises DataError where a column is missing.
        """
        self._require_columns(columns)
        found = arranged(
            columns[self.context],
            columns.get(self.answers),
            columns.get(self.answer, []),
            columns.get(self.answer_start, []),
            self.repair_offsets,
        )
        return {**columns, self.answers: found}

    def roles(self) -> Roles:
        """Context and question; the answers are spans of the context, which no augmenter may change.

        Questions about one context belong together.
        """
        answers = (self.answers,)
        return Roles(
            text=(self.context, self.question),
            target=answers,
            spans=answers,
            protected=answers,
            group=(self.context,),
        )

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs a context, a question, and answers that stand where they say; it may have no answer."""
        names = (self.context, self.question, self.answers)
        return [refusal(*row) for row in zip(*(columns[name] for name in names), strict=True)]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze whether there may be no answer, and which rules compare answers.

        `threshold` is how far "no answer" has to be ahead of the best answer, in logits; `tune` sets it.
        """
        answers: list[str] = []
        rows = 0
        for columns in train:
            for truth in self.truths(columns, {}):
                rows += 1
                answers += [answer for answer in truth["answer"][:1] if answer is not None]
        if not answers:
            raise DataError(
                f"task: no question of the training split has an answer in its column {self.answers!r}; check the "
                "columns and the file"
            )
        if self.no_answer and len(answers) == rows:
            raise DataError(
                "task: `no_answer: true`, but every question of the training split has an answer, so there is nothing to "
                "learn it from; add questions without one, or leave `no_answer` out"
            )
        none = len(answers) < rows if self.no_answer is None else self.no_answer
        return {"no_answer": none, "threshold": 0.0, "rules": rules_of(answers)}

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """`labels` int64 [entries, 2]: the tokens of the window with which the answer begins and ends.

        That is the window's token for no answer, where the window does not hold the whole of it; -100 where none does.
        """
        offsets, rows = arrays["offsets"], np.asarray(arrays["row"])
        assert isinstance(offsets, Ragged)
        contexts = columns[self.context]
        places = [spans[0] if spans else None for spans in self._places(columns)]
        labels = np.empty((len(rows), 2), np.int64)
        held = np.array([place is None for place in places])
        for entry, row in enumerate(rows.tolist()):
            place, window = places[row], offsets[entry]
            # Characters that the tokenizer dropped at either end of the text count to its first and last window.
            begins = 0 if not entry or rows[entry - 1] != row else None
            ends = len(contexts[row]) if entry + 1 == len(rows) or rows[entry + 1] != row else None
            found = None if place is None else _tokens(window, place, begins, ends)
            held[row] |= found is not None
            labels[entry] = found or np.flatnonzero(window[:, 0] == NO_ANSWER)[[0, 0]]
        labels[~held[rows]] = UNLABELLED
        return {"labels": labels}

    def head(self, facts: Facts) -> HeadSpec:
        """A linear layer that gives each token a logit as start and one as end."""
        return HeadSpec(self.head_type, size=2)

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"answer": [text, …]}`` per row, every right answer once; ``[None]`` for a question without one."""
        return [
            {"answer": list(dict.fromkeys(context[start:end] for start, end in places)) or [None]}
            for context, places in zip(columns[self.context], self._places(columns), strict=True)
        ]

    def _places(self, columns: Columns) -> list[list[tuple[int, int]]]:
        """The answers' places in each context, without spaces at their borders; one that a cleaner emptied is left out."""
        rows = zip(columns[self.context], columns[self.answers], strict=True)
        return [
            [place for one in answers if (place := trimmed(context, one["start"], one["end"]))]
            for context, answers in rows
        ]

    def tune(self, columns: Columns, arrays: Arrays, outputs: Mapping[str, Any], facts: Facts) -> Facts:
        """Set the threshold for no answer to the one with the best F1 on these rows."""
        if not facts["no_answer"]:
            return facts
        contexts = columns[self.context]
        found = candidates(self.settings(), contexts, arrays, outputs)
        return facts | {"threshold": threshold.best(contexts, found, self.truths(columns, facts), facts["rules"])}


def _tokens(
    window: np.ndarray[Any, np.dtype[np.int32]], place: tuple[int, int], begins: int | None, ends: int | None
) -> tuple[int, int] | None:
    """The first and the last token of a stretch that a window holds as a whole, else None.

    `begins` and `ends`: the characters that the window reaches to, by default those of its first and last token.
    """
    tokens = tokens_of_text(window)
    if not len(tokens):
        return None
    starts, stops = window[tokens, 0], window[tokens, 1]
    begins = int(starts[0]) if begins is None else begins
    ends = int(stops[-1]) if ends is None else ends
    first = int(np.searchsorted(stops, place[0], side="right"))  # the first token that reaches into it
    last = int(np.searchsorted(starts, place[1], side="left")) - 1  # the last one that begins before its end
    if place[0] < begins or place[1] > ends or first > last:
        return None
    return int(tokens[first]), int(tokens[last])
