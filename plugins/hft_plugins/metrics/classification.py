"""Metrics of one label per row. All figures are fractions from 0 to 1 and equal scikit-learn's with zero_division=0.

A predicted (or true) label that is not in ``facts["labels"]`` is no class of its own: the row counts as wrong.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from hft_core import Facts, Metric, Prediction, RecipeError

Counts = NDArray[np.float64]
_MOST_LABELS_OF_CELLS = 20
"""Each figure is computed anew for every bootstrap sample."""


def label_ids(items: Sequence[Prediction], facts: Facts) -> NDArray[np.int64]:
    """Give each item's label as its position in ``facts["labels"]``; the number of labels for one outside the list."""
    ids = {label: position for position, label in enumerate(facts["labels"])}
    return np.fromiter((ids.get(item["label"], len(ids)) for item in items), np.int64, len(items))


def divided(numerator: Counts, denominator: Counts) -> Counts:
    """Divide element by element; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


class Accuracy(Metric):
    """Accuracy: the share of rows whose label is right."""

    needs: ClassVar[frozenset[str]] = frozenset({"label"})

    type: Literal["accuracy"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Counts:
        """Give hit (0 or 1) and 1 of each row, float64 [rows, 2]."""
        predicted, true = label_ids(predictions, facts), label_ids(truths, facts)
        hits = (predicted == true) & (true < len(facts["labels"]))
        return np.stack([hits, np.ones_like(hits)], axis=1).astype(np.float64)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"accuracy": …}``; 0 for no row."""
        return {"accuracy": float(divided(statistics[0], statistics[1]))}


class ClassMetric(Metric):
    """Base of metrics that are computed per class and then averaged."""

    needs: ClassVar[frozenset[str]] = frozenset({"label"})

    average: Literal["micro", "macro", "weighted", "binary"] = "macro"
    """`macro`: mean over the classes that occur in truths or predictions; `weighted`: the same, weighted by true rows;
    `micro`: over all rows at once; `binary`: of the class `positive` alone."""
    positive: str | None = None
    """The class that `average: binary` is about; default: the second of two labels."""

    @model_validator(mode="after")
    def _positive_belongs_to_binary(self) -> Self:
        if self.positive is not None and self.average != "binary":
            raise ValueError(f"`positive` is read with `average: binary` only, found `average: {self.average}`")
        return self

    @abstractmethod
    def score(self, hits: Counts, predicted: Counts, true: Counts) -> Counts:
        """Give the score of each class from its right rows, its predicted rows and its true rows, [classes] each."""

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Counts:
        """Give, one-hot over the classes, right, predicted and true label of each row, float64 [rows, 3 · classes]."""
        predicted, true = label_ids(predictions, facts), label_ids(truths, facts)
        row, classes = np.arange(len(true)), len(facts["labels"])
        statistics = np.zeros((len(true), 3, classes + 1), np.float64)  # the last class takes labels outside the list
        statistics[row, 0, true] = predicted == true
        statistics[row, 1, predicted] = 1
        statistics[row, 2, true] = 1
        return statistics[:, :, :classes].reshape(len(true), 3 * classes)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give the average under the metric's type, then each class as ``type[label]`` (0 for one that is absent).

        Raises RecipeError where `average: binary` does not say which class it is about.
        """
        hits, predicted, true = statistics.reshape(3, -1)
        scores = self.score(hits, predicted, true)
        if self.average == "micro":
            headline = self.score(*statistics.reshape(3, -1).sum(axis=1, keepdims=True))[0]
        elif self.average == "binary":
            headline = scores[self._positive_id(facts)]
        elif self.average == "weighted":
            headline = divided((scores * true).sum(), true.sum())
        else:
            present = predicted + true > 0
            headline = divided(scores[present].sum(), present.sum())
        name = self.type_name()
        per_class = {f"{name}[{label}]": float(score) for label, score in zip(facts["labels"], scores, strict=True)}
        return {name: float(headline), **per_class}

    def _positive_id(self, facts: Facts) -> int:
        labels: list[str] = facts["labels"]
        if self.positive is None and len(labels) == 2:
            return 1
        if self.positive in labels:
            return labels.index(self.positive)
        found = "nothing" if self.positive is None else repr(self.positive)
        raise RecipeError(
            f"metric {self.type_name()}: `average: binary` needs `positive`, one of {', '.join(labels)}; found {found}"
        )


class Precision(ClassMetric):
    """Precision: of the rows predicted as a class, the share that belongs to it."""

    type: Literal["precision"]

    def score(self, hits: Counts, predicted: Counts, true: Counts) -> Counts:
        """Give hits / predicted."""
        return divided(hits, predicted)


class Recall(ClassMetric):
    """Recall: of the rows that belong to a class, the share predicted as it."""

    type: Literal["recall"]

    def score(self, hits: Counts, predicted: Counts, true: Counts) -> Counts:
        """Give hits / true."""
        return divided(hits, true)


class F1(ClassMetric):
    """F1: the harmonic mean of precision and recall."""

    type: Literal["f1"]

    def score(self, hits: Counts, predicted: Counts, true: Counts) -> Counts:
        """Give 2 · hits / (predicted + true)."""
        return divided(2 * hits, predicted + true)


class Confusion(Metric):
    """Confusion: how many rows of each class were taken for which, and the share of rows taken for a wrong one.

    Not additive: two numbers a row are kept, where one cell per pair of classes would be classes² numbers a row.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"label"})
    additive: ClassVar[bool] = False
    greater_is_better: ClassVar[bool] = False

    type: Literal["confusion"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Counts:
        """Give the positions of true and predicted label of each row, float64 [rows, 2]."""
        return np.stack([label_ids(truths, facts), label_ids(predictions, facts)], axis=1).astype(np.float64)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give the share of wrong rows as ``confusion``, then the row counts ``confusion[truth→predicted]``.

        A row with a label outside the list counts in the share and in no cell. The cells, labels² figures, are left
        out for more than 20 labels.
        """
        labels = facts["labels"]
        true, predicted = statistics.astype(np.int64).T
        hits = int(((true == predicted) & (true < len(labels))).sum())
        headline = {"confusion": (len(statistics) - hits) / max(len(statistics), 1)}
        if len(labels) > _MOST_LABELS_OF_CELLS:
            return headline
        size = len(labels) + 1
        cells = np.bincount(true * size + predicted, minlength=size * size).reshape(size, size)
        return headline | {
            f"confusion[{truth}→{taken}]": float(cells[i, j])
            for i, truth in enumerate(labels)
            for j, taken in enumerate(labels)
        }
