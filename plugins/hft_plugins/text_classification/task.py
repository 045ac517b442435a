"""The task `text-classification`: one label per text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self

import numpy as np

from hft_core import Arrays, Columns, DataError, Facts, HeadSpec, Prediction, Roles, Task

_LABEL_NAMES = ("label", "labels", "sentiment", "class", "category", "target", "intent", "标签", "情感", "类别")


class TextClassification(Task):
    """One label per text, out of the labels that the training split has."""

    type: Literal["text-classification"]
    text: str | None = None
    """Column with the text; found by itself if left out: the column with the longest entries."""
    label: str | None = None
    """Column with the label; found by itself if left out: one called label, sentiment, class, …, or the one with few values."""

    objective: ClassVar[str] = "classification"
    runtime: ClassVar[str] = "hft_plugins.text_classification.runtime"
    gives: ClassVar[frozenset[str]] = frozenset({"label", "score", "scores"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "accuracy"}, {"type": "f1", "average": "macro"})
    classes: ClassVar[bool] = True

    def bind(self, sample: Columns) -> Self:
        """Settle the two columns from a sample of rows."""
        label = self.label or _label_column(sample, self.text)
        text = self.text or _text_column(sample, label)
        for role, column in (("text", text), ("label", label)):
            if column not in sample:
                raise DataError(
                    f"task: the data has no column {column!r} for {role}; its columns are {', '.join(sample)}. "
                    f"Set `{role}:` in the recipe's task"
                )
        if text == label:
            raise DataError(f"task: text and label are the same column {text!r}; set `text:` and `label:`")
        return self.model_copy(update={"text": text, "label": label})

    def roles(self) -> Roles:
        """Text and label column."""
        return Roles(text=(str(self.text),), target=(str(self.label),))

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs a text, which is a string, and a label, which is a single value."""
        return [
            _text_refusal(text) or _label_refusal(label)
            for text, label in zip(columns[str(self.text)], columns[str(self.label)], strict=True)
        ]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze the label map: labels in their natural order, with their counts."""
        counts: Counter[str] = Counter()
        for columns in train:
            counts.update(map(_word, columns[str(self.label)]))
        if len(counts) < 2:
            found = f"only {next(iter(counts))!r}" if counts else "none"
            raise DataError(
                f"task: classification needs at least two labels, but column {self.label!r} of the training split has "
                f"{found}; check `label:` and the file"
            )
        if len(counts) > 1000 and len(counts) > 0.5 * counts.total():
            raise DataError(
                f"task: column {self.label!r} has {len(counts)} different values in {counts.total()} rows, which are "
                "hardly labels; set `label:` to the right column"
            )
        labels = sorted(counts, key=_natural)
        return {"labels": labels, "counts": [counts[label] for label in labels]}

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """`labels` int64, one per entry."""
        ids = {label: index for index, label in enumerate(facts["labels"])}
        labels = np.array([ids[truth["label"]] for truth in self.truths(columns, facts)], np.int64)
        rows = arrays["row"]
        return {"labels": labels[np.asarray(rows)]}

    def head(self, facts: Facts) -> HeadSpec:
        """A linear layer over the pooled text."""
        return HeadSpec("sequence-classification", size=len(facts["labels"]), labels=tuple(facts["labels"]))

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"label": …}`` per row."""
        words = list(map(_word, columns[str(self.label)]))
        if unknown := Counter(words) - Counter({word: len(words) for word in facts["labels"]}):
            listed = ", ".join(f"{word!r} ({count} rows)" for word, count in unknown.most_common(5))
            raise DataError(
                f"column {self.label!r} has labels that the training split lacks: {listed}; it knows "
                f"{', '.join(map(repr, facts['labels'][:20]))}. Correct the labels, or add such rows to train"
            )
        return [{"label": word} for word in words]


def _text_refusal(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        return "not-a-text"
    return None if value and value.strip() else "empty-text"


def _label_refusal(value: Any) -> str | None:
    if isinstance(value, list | dict):
        return "not-a-label"
    return None if _word(value) else "empty-label"


def _word(value: Any) -> str:
    """A label as text: files give text, JSON may give numbers and booleans."""
    return "" if value is None else str(value).strip()


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers before words, by value."""
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)


def _label_column(sample: Columns, text: str | None) -> str:
    names = [name for name in sample if name != text]
    for name in names:
        if name.lower() in _LABEL_NAMES:
            return name
    if not names:
        raise DataError(f"task: the data has only the column {text!r}; a classification needs a label column too")
    return min(names, key=lambda name: len(set(map(_word, sample[name]))))


def _text_column(sample: Columns, label: str) -> str:
    names = [name for name in sample if name != label]
    if not names:
        raise DataError(f"task: the data has only the column {label!r}; a classification needs a text column too")
    return max(names, key=lambda name: sum(len(str(value or "")) for value in sample[name]))
