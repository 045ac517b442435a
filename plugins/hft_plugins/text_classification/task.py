"""The task `text-classification`: one label per text, or per pair of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hft_core import (
    Arrays,
    Columns,
    DataError,
    Facts,
    HeadSpec,
    Prediction,
    Roles,
    best_threshold,
    fitted_temperature,
)
from hft_plugins.text_classification.labels import Label, as_word, learned_labels, listed_unknown
from hft_plugins.text_classification.runtime import probabilities
from hft_plugins.text_classification.texts import TextsTask, no_column

_LABEL_NAMES = ("label", "labels", "sentiment", "class", "category", "target", "intent", "标签", "情感", "类别")


class TextClassification(TextsTask):
    """One label per text, or per pair of texts, out of the labels that the training split has."""

    type: Literal["text-classification"]
    label: str | None = None
    """Column with the label; found by itself if left out: one called label, sentiment, class, …, or the one with few values."""
    threshold: Literal["accuracy", "f1"] | Annotated[float, Field(gt=0, lt=1)] | None = None
    """With two labels: from which probability on the label `positive` is given. A number, or what it is tuned for on the
    validation split: `accuracy`, or the `f1` of that label. Default: the label that is likelier."""
    positive: Label | None = None
    """The label that `threshold` is about; default: the second of the two."""

    objective: ClassVar[str] = "classification"
    runtime: ClassVar[str] = "hft_plugins.text_classification.runtime"
    head_type: ClassVar[str] = "sequence-classification"
    gives: ClassVar[frozenset[str]] = frozenset({"label", "score", "scores"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "accuracy"}, {"type": "f1", "average": "macro"})
    target_form: ClassVar[Literal["label"]] = "label"

    @model_validator(mode="after")
    def _positive_belongs_to_threshold(self) -> Self:
        if self.positive is not None and self.threshold is None:
            raise ValueError("`positive` is read with a `threshold` only; set one, such as `threshold: f1`")
        return self

    def bind(self, sample: Columns) -> Self:
        """Settle the columns from a sample of rows."""
        label = self.label or _label_column(sample, self.texts)
        if label not in sample:
            raise no_column("label", label, sample)
        return self.with_texts(sample, (label,)).model_copy(update={"label": label})

    def roles(self) -> Roles:
        """Texts and label column."""
        return self.reading((str(self.label),))

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs its texts, which are strings, and a label, which is a single value."""
        labels = columns[str(self.label)]
        return [found or _refusal(label) for found, label in zip(self.text_refusals(columns), labels, strict=True)]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze the label map: labels in their natural order, with their counts; and where a threshold begins."""
        counts: Counter[str] = Counter()
        for columns in train:
            counts.update(map(as_word, columns[str(self.label)]))
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
        facts = learned_labels(counts)
        return facts if self.threshold is None else facts | self._first_threshold(facts["labels"])

    def _first_threshold(self, labels: list[str]) -> Facts:
        known = ", ".join(map(repr, labels[:20]))
        if len(labels) != 2:
            raise DataError(f"task: `threshold` is for two labels, but there are {len(labels)}: {known}; remove it")
        positive = labels[1] if self.positive is None else self.positive
        if positive not in labels:
            raise DataError(f"task: `positive` is {positive!r}, which is no label; the labels are {known}")
        return {"positive": positive, "threshold": self.threshold if isinstance(self.threshold, float) else 0.5}

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """`labels` int64, one per entry."""
        ids = {label: index for index, label in enumerate(facts["labels"])}
        labels = np.array([ids[truth["label"]] for truth in self.truths(columns, facts)], np.int64)
        return {"labels": labels[np.asarray(arrays["row"])]}

    def head(self, facts: Facts) -> HeadSpec:
        """A linear layer over the pooled text."""
        return HeadSpec(self.head_type, size=len(facts["labels"]), labels=tuple(facts["labels"]))

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"label": …}`` per row. Raises DataError for labels that the training split lacks."""
        words = list(map(as_word, columns[str(self.label)]))
        if unknown := Counter(words) - Counter({word: len(words) for word in facts["labels"]}):
            raise listed_unknown(f"column {self.label!r}", unknown, facts)
        return [{"label": word} for word in words]

    def tune(self, columns: Columns, arrays: Arrays, outputs: Mapping[str, Any], facts: Facts) -> Facts:
        """Fit the temperature on these rows, then set the threshold that is best on them, where one is to be tuned."""
        ids = {label: index for index, label in enumerate(facts["labels"])}
        labels = np.array([ids[truth["label"]] for truth in self.truths(columns, facts)], np.int64)
        facts = facts | fitted_temperature(outputs["logits"], labels).facts()
        if not isinstance(self.threshold, str):
            return facts
        positive = ids[facts["positive"]]
        scores = probabilities(outputs, facts)[:, positive]
        return facts | {"threshold": best_threshold(scores, labels == positive, self.threshold)}


def _refusal(value: Any) -> str | None:
    if isinstance(value, list | dict):
        return "not-a-label"
    return None if as_word(value) else "empty-label"


def _label_column(sample: Columns, texts: tuple[str, ...]) -> str:
    names = [name for name in sample if name not in texts]
    for name in names:
        if name.lower() in _LABEL_NAMES:
            return name
    if not names:
        raise DataError(
            f"task: the data has only the column {', '.join(sample)}; a classification needs a label column too"
        )
    return min(names, key=lambda name: len(set(map(as_word, sample[name]))))
