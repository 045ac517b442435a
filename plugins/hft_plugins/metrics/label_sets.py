"""Metrics of several labels per row. Figures equal scikit-learn's with zero_division=0, over all labels of the facts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Facts, Metric, Prediction
from hft_plugins.metrics.classification import Counts, divided


def label_matrix(items: Sequence[Prediction], facts: Facts) -> NDArray[np.bool_]:
    """Say which labels each item has, [rows, labels + 1]; the last column takes labels that are not in the facts."""
    ids = {label: position for position, label in enumerate(facts["labels"])}
    matrix = np.zeros((len(items), len(ids) + 1), np.bool_)
    for row, item in enumerate(items):
        for label in item["labels"]:
            matrix[row, ids.get(label, len(ids))] = True
    return matrix


class LabelSetMetric(Metric):
    """Base of metrics that compare the labels of a row with those that it should have."""

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    average: Literal["micro", "macro", "weighted", "samples"] = "micro"
    """`micro`: over all labels of all rows at once; `macro`: mean over the labels; `weighted`: the same, weighted by the rows
    that should have the label; `samples`: mean over the rows, 0 for a row that neither has nor should have a label."""

    @abstractmethod
    def score(self, hits: Counts, said: Counts, true: Counts) -> Counts:
        """Give the score from right labels, labels said and true labels, of each label or row."""

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Counts:
        """Give right, said and true of each label, then the row's own score and 1, float64 [rows, 3 · labels + 2].

        Labels that are not in the facts count in a row's own score only.
        """
        said, true = label_matrix(predictions, facts), label_matrix(truths, facts)
        both = np.stack([said & true, said, true], axis=1).astype(np.float64)
        both[:, 0, -1] = 0  # two unknown labels need not be the same
        own = self.score(*both.sum(axis=2).T)
        counted = both[:, :, :-1].reshape(len(truths), -1)
        return np.concatenate([counted, own[:, None], np.ones((len(truths), 1))], axis=1)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give the average under the metric's type, then each label as ``type[label]`` (0 for one that is absent)."""
        own, rows = statistics[-2:]
        hits, said, true = statistics[:-2].reshape(3, -1)
        scores = self.score(hits, said, true)
        if self.average == "micro":
            headline = self.score(*(counts.sum(keepdims=True) for counts in (hits, said, true)))[0]
        elif self.average == "samples":
            headline = divided(own, rows)
        elif self.average == "weighted":
            headline = divided((scores * true).sum(), true.sum())
        else:
            headline = scores.mean()
        name = self.type_name()
        per_label = {f"{name}[{label}]": float(score) for label, score in zip(facts["labels"], scores, strict=True)}
        return {name: float(headline), **per_label}


class MultiLabelPrecision(LabelSetMetric):
    """Precision of several labels per row: of the labels that are given, the share that is right."""

    type: Literal["multi-label-precision"]

    def score(self, hits: Counts, said: Counts, true: Counts) -> Counts:
        """Give hits / said."""
        return divided(hits, said)


class MultiLabelRecall(LabelSetMetric):
    """Recall of several labels per row: of the labels that should be given, the share that is."""

    type: Literal["multi-label-recall"]

    def score(self, hits: Counts, said: Counts, true: Counts) -> Counts:
        """Give hits / true."""
        return divided(hits, true)


class MultiLabelF1(LabelSetMetric):
    """F1 of several labels per row: the harmonic mean of precision and recall."""

    type: Literal["multi-label-f1"]

    def score(self, hits: Counts, said: Counts, true: Counts) -> Counts:
        """Give 2 · hits / (said + true)."""
        return divided(2 * hits, said + true)


class SubsetAccuracy(Metric):
    """Subset accuracy: the share of rows that have exactly the labels that they should have."""

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    type: Literal["subset-accuracy"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Counts:
        """Give hit (0 or 1) and 1 of each row, float64 [rows, 2]."""
        pairs = zip(predictions, truths, strict=True)
        hits = np.array([set(one["labels"]) == set(two["labels"]) for one, two in pairs], np.float64)
        return np.stack([hits, np.ones_like(hits)], axis=1)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"subset-accuracy": …}``; 0 for no row."""
        return {"subset-accuracy": float(divided(statistics[0], statistics[1]))}


class LabelRanking(Metric):
    """Label ranking average precision: how far up a row's labels stand when all labels are ranked by their score.

    Of each label that a row should have, the share of such labels among those that are ranked as high or higher; the mean
    over the row's labels, then over rows. A row that should have no label, or all, counts as 1. Thresholds play no part.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "scores"})

    type: Literal["label-ranking"]

    def rows(self, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts) -> Counts:
        """Give average precision and 1 of each row, float64 [rows, 2]."""
        true = label_matrix(truths, facts)[:, :-1]
        scores = np.array([[item["scores"][label] for label in facts["labels"]] for item in predictions], np.float64)
        own = [_average_precision(*row) for row in zip(scores.reshape(true.shape), true, strict=True)]
        return np.stack([np.array(own, np.float64), np.ones(len(own))], axis=1)

    def value(self, statistics: NDArray[np.float64], facts: Facts) -> dict[str, float]:
        """Give ``{"label-ranking": …}``; 0 for no row."""
        return {"label-ranking": float(divided(statistics[0], statistics[1]))}


def _average_precision(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> float:
    wanted = scores[true]
    if len(wanted) in (0, len(scores)):
        return 1.0
    as_high = scores[None, :] >= wanted[:, None]  # [labels of the row, labels]
    return float((as_high[:, true].sum(axis=1) / as_high.sum(axis=1)).mean())
