"""The task `multi-label-classification`: any number of labels per text, or per pair of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from hft_core import (
    Arrays,
    Columns,
    DataError,
    Facts,
    HeadSpec,
    Prediction,
    Ragged,
    Roles,
    best_threshold,
    fitted_temperature,
)
from hft_plugins.multi_label.label_sets import found_separator, label_sets
from hft_plugins.multi_label.runtime import probabilities
from hft_plugins.text_classification.labels import learned_labels, listed_unknown
from hft_plugins.text_classification.texts import TextsTask, no_column

_LABEL_NAMES = ("labels", "tags", "categories", "classes", "genres", "topics", "label", "标签", "类别")
_FEW = 10
"""Validation rows with a label under which it gets the threshold that all labels share."""


class MultiLabelClassification(TextsTask):
    """Any number of labels per text, none too, out of the labels that the training split has."""

    type: Literal["multi-label-classification"]
    labels: str | list[str] | None = None
    """Column with a row's labels, a list (in CSV: `["a", "b"]`) or a string with a separator; or several columns of 0 and 1,
    each named after its label. Found by itself if left out: one called labels, tags, categories, …"""
    separator: str | None = Field(default=None, min_length=1)
    """What stands between labels of one string; found by itself if left out: the first of `| ; ； 、 ， ,` that occurs."""
    thresholds: Literal["per-label", "shared"] | Annotated[float, Field(gt=0, lt=1)] = "per-label"
    """From which probability on a label is given: `per-label`, tuned for each label's F1 on the validation split, or, for
    labels that fewer than 10 of its rows have, `shared`: tuned for the F1 of all together; or a number."""

    objective: ClassVar[str] = "multi-label"
    runtime: ClassVar[str] = "hft_plugins.multi_label.runtime"
    head_type: ClassVar[str] = "sequence-classification"
    gives: ClassVar[frozenset[str]] = frozenset({"labels", "scores"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = (
        {"type": "multi-label-f1", "average": "micro"},
        {"type": "multi-label-f1", "average": "macro", "name": "macro-f1"},
        {"type": "subset-accuracy"},
    )
    target_form: ClassVar[Literal["labels"]] = "labels"

    @field_validator("labels")
    @classmethod
    def _columns_are_different(cls, labels: str | list[str] | None) -> str | list[str] | None:
        if isinstance(labels, list) and (not labels or len(set(labels)) < len(labels)):
            raise ValueError("write one column, or a list of different columns of 0 and 1")
        return labels

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns with labels of a bound task."""
        return (self.labels,) if isinstance(self.labels, str) else tuple(self.labels or ())

    def bind(self, sample: Columns) -> Self:
        """Settle columns and separator from a sample of rows."""
        labels = self.labels or _labels_column(sample, self.texts)
        bound = self.model_copy(update={"labels": labels})
        for column in bound.label_columns:
            if column not in sample:
                raise no_column("labels", column, sample)
        separator = self.separator or (found_separator(sample[labels]) if isinstance(labels, str) else "|")
        return bound.with_texts(sample, bound.label_columns).model_copy(update={"separator": separator})

    @property
    def target(self) -> str:
        """The column with each row's list of labels, as `arrange` makes it."""
        return self.labels if isinstance(self.labels, str) else "labels"

    def arrange(self, columns: Columns) -> Columns:
        """Make one column of lists of labels, of whatever form they have; in place of labels that are none, why.

        Raises DataError where a column is missing.
        """
        for column in self.label_columns:
            if column not in columns:
                raise no_column("labels", column, columns)
        return columns | {self.target: label_sets(columns, self.labels or (), self.separator or "|")}

    def roles(self) -> Roles:
        """Texts, and the column with lists of labels."""
        return self.reading((self.target,))

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs its texts, and labels in one of the forms; no label is fine, a missing value is not."""
        pairs = zip(self.text_refusals(columns), columns[self.target], strict=True)
        return [found or (labels if isinstance(labels, str) else None) for found, labels in pairs]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze the labels in their natural order, their counts and where thresholds begin. Raises DataError without any."""
        counts: Counter[str] = Counter()
        different: set[tuple[str, ...]] = set()
        rows = 0
        for columns in train:
            for labels in columns[self.target]:
                rows += 1
                counts.update(labels)
                if len(different) < 2:
                    different.add(tuple(sorted(labels)))
        where = f"column {', '.join(map(repr, self.label_columns))} of the training split"
        if len(different) < 2:
            found = (
                "has no label in any row" if not counts else f"has the same labels in every row: {', '.join(counts)}"
            )
            raise DataError(f"task: {where} {found}, so there is nothing to learn; check `labels:` and the file")
        if len(counts) > 1000 and len(counts) > 0.5 * counts.total():
            raise DataError(
                f"task: {where} has {len(counts)} different labels in {counts.total()} places, which are hardly labels; "
                "set `labels:` to the right column, and its `separator:`"
            )
        first = self.thresholds if isinstance(self.thresholds, float) else 0.5
        return learned_labels(counts) | {"rows": rows, "thresholds": [first] * len(counts)}

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """`labels`, ragged int32: the positions of each row's labels."""
        ids = {label: index for index, label in enumerate(facts["labels"])}
        sets = [[ids[label] for label in truth["labels"]] for truth in self.truths(columns, facts)]
        return {"labels": Ragged.from_rows(sets).take(np.asarray(arrays["row"]))}

    def head(self, facts: Facts) -> HeadSpec:
        """A linear layer over the pooled text."""
        return HeadSpec(self.head_type, size=len(facts["labels"]), labels=tuple(facts["labels"]))

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"labels": […]}`` per row, in the order of the label map. Raises DataError for labels that train lacks."""
        place = {label: index for index, label in enumerate(facts["labels"])}
        sets: list[list[str]] = columns[self.target]
        if unknown := Counter(label for labels in sets for label in labels if label not in place):
            raise listed_unknown(f"column {', '.join(map(repr, self.label_columns))}", unknown, facts)
        return [{"labels": sorted(labels, key=place.__getitem__)} for labels in sets]

    def tune(self, columns: Columns, arrays: Arrays, outputs: Mapping[str, Any], facts: Facts) -> Facts:
        """Fit one temperature for all labels on these rows, then set the best thresholds, unless the recipe gives one."""
        true = self._matrix(columns, facts)
        logits = np.asarray(outputs["logits"], np.float64)
        pairs = np.stack([np.zeros(logits.size), logits.ravel()], axis=1)
        facts = facts | fitted_temperature(pairs, true.ravel().astype(np.int64), rows=len(true)).facts()
        if isinstance(self.thresholds, float):
            return facts
        scores = probabilities(outputs, facts)
        shared = best_threshold(scores.ravel(), true.ravel(), "f1")
        thresholds = [
            best_threshold(scores[:, label], true[:, label], "f1")
            if self.thresholds == "per-label" and true[:, label].sum() >= _FEW
            else shared
            for label in range(true.shape[1])
        ]
        return facts | {"thresholds": thresholds}

    def _matrix(self, columns: Columns, facts: Facts) -> NDArray[np.bool_]:
        truths = self.truths(columns, facts)
        return np.array([[label in truth["labels"] for label in facts["labels"]] for truth in truths], bool)


def _labels_column(sample: Columns, texts: tuple[str, ...]) -> str:
    names = [name for name in sample if name not in texts]
    for wanted in _LABEL_NAMES:
        for name in names:
            if name.lower() == wanted:
                return name
    raise DataError(
        f"task: no column is called like labels ({', '.join(_LABEL_NAMES)}); the columns are {', '.join(sample)}. Set "
        "`labels:` in the recipe's task: one column, or a list of columns of 0 and 1"
    )
