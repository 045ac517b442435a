"""What tasks share whose rows are one text, or a pair of texts, read at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

from hft_core import Columns, DataError, Roles, Task


class TextsTask(Task):
    """Base of tasks that predict something of a whole text, or of two texts together."""

    text: str | None = None
    """Column with the text; found by itself if left out: the column with the longest entries."""
    pair: str | None = None
    """Column with a second text that belongs to the first: a premise and its hypothesis, a question and its answer. The
    model reads both at once, and of a pair that is too long the longer text is cut. Default: there is one text."""

    def with_texts(self, sample: Columns, targets: Collection[str]) -> Self:
        """Settle `text`, whatever is not a target. Raises DataError for a column that there is not, or stands for two."""
        text = self.text or _longest(sample, [*targets, *([self.pair] if self.pair else [])])
        for role, column in (("text", text), ("pair", self.pair)):
            if column is not None and column not in sample:
                raise no_column(role, column, sample)
        if self.pair == text:
            raise DataError(f"task: text and pair are the same column {text!r}; set `text:` and `pair:`")
        for column in (text, self.pair):
            if column in targets:
                raise DataError(
                    f"task: the column {column!r} is read as a text and predicted too; set `text:` and the target"
                )
        return self.model_copy(update={"text": text})

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns with text, as far as they are settled."""
        return tuple(name for name in (self.text, self.pair) if name is not None)

    def reading(self, target: tuple[str, ...]) -> Roles:
        """The texts, and these target columns."""
        return Roles(text=self.texts, target=target)

    def text_refusals(self, columns: Columns) -> list[str | None]:
        """For each row: why a text of it is none, or None."""
        of_columns = [map(_refusal, columns[name]) for name in self.texts]
        return [next(filter(None, found), None) for found in zip(*of_columns, strict=True)]


def no_column(role: str, column: str, sample: Columns) -> DataError:
    """Say that a column of the recipe's task is not there."""
    return DataError(
        f"task: the data has no column {column!r} for {role}; its columns are {', '.join(sample)}. "
        f"Set `{role}:` in the recipe's task"
    )


def _longest(sample: Columns, others: Collection[str]) -> str:
    names = [name for name in sample if name not in others]
    if not names:
        raise DataError(
            f"task: the data has only the columns {', '.join(sample)}, none of which is left to be the text; set `text:`"
        )
    return max(names, key=lambda name: sum(len(str(value or "")) for value in sample[name]))


def _refusal(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        return "not-a-text"
    return None if value and value.strip() else "empty-text"
