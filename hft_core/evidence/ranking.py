"""How well scores rank rows, one label against the rest: ROC and precision-recall curves, the areas under them, intervals.

Figures and curves are scikit-learn's, which is imported inside functions only. Intervals are of the percentile bootstrap over
rows, as for metrics; scikit-learn would sort the rows anew for each sample, here they are sorted once and weighted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.runtime.randomness import generator

_RANKED = 50
"""Labels at most that are ranked: those with most rows."""
_CURVES = 5
"""Labels at most of which curves are kept, and points of each."""
_POINTS = 100
_FIGURES = ("roc_auc", "average_precision")
_SAMPLES, _FEWEST = 500, 100
"""Samples of the bootstrap, at most and at least."""
_SCORES, _MOST_SCORES = 10_000_000, 250_000
"""Scores that all samples have together, so of many rows and labels there are fewer; and scores, rows times labels, of which
none are drawn: that would take long, and an interval over so many rows is narrow."""
_AT_ONCE = 1_000_000
"""Weights that are held at once."""

Matrix = NDArray[np.float64]


def ranking(scores: Matrix, true: NDArray[np.bool_], labels: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Rank the rows by the score of each label: `roc_auc` and `average_precision`, for each label and their mean.

    Both are None for a label that all rows have, or none. Of many labels the 50 with most rows are ranked, and those with
    most rows have curves: `roc` with [false positive rate, true positive rate], `pr` with [recall, precision]. `intervals`
    has [low, high] of 95 % over rows by figure, where there is one: not of more than 250,000 rows times labels.

    Args:
        scores: float64 [rows, labels].
        true: [rows, labels], which labels a row has.
        seed: intervals are a function of this and the scores.
    """
    support = true.sum(axis=0)
    chosen = np.argsort(-support, kind="stable")[:_RANKED]
    drawn = _drawn(scores, true, [label for label in sorted(chosen.tolist()) if 0 < support[label] < len(true)], seed)
    classes: list[dict[str, Any]] = []
    for label in sorted(chosen.tolist()):
        entry: dict[str, Any] = {"label": labels[label], "rows": int(support[label])}
        if 0 < support[label] < len(true):
            own, score = true[:, label], scores[:, label]
            entry |= _figures(own, score)
            if label in drawn:
                entry["intervals"] = _intervals(drawn[label])
            if label in chosen[:_CURVES]:
                entry |= _curves(own, score)
        else:
            entry |= dict.fromkeys(_FIGURES)
        classes.append(entry)
    known = [entry for entry in classes if entry["roc_auc"] is not None]
    means = {name: float(np.mean([entry[name] for entry in known])) if known else None for name in _FIGURES}
    over_all = {"intervals": _intervals(_mean(np.array([*drawn.values()])))} if drawn else {}
    return {**means, **over_all, "classes": classes, "labels": len(labels)}


@dataclass(frozen=True)
class Steps:
    """The steps of a label's curves, from the highest score down: rows with the same score are one step."""

    rows: NDArray[np.int64]
    """The rows, sorted by score."""
    begins: NDArray[np.int64]
    """Where among them each step begins."""
    own: NDArray[np.bool_]
    """Whether each of them has the label."""

    @classmethod
    def of(cls, own: NDArray[np.bool_], score: Matrix) -> Steps:
        """Sort rows, `own` those that have the label, by `score`, higher for those that more likely have it; both [rows]."""
        order = np.argsort(-score, kind="stable")
        return cls(order, np.append(0, np.flatnonzero(np.diff(score[order])) + 1), own[order])

    def areas(self, weights: Matrix) -> NDArray[np.float64]:
        """Give `roc_auc` and `average_precision` for weights [samples, rows]: [2, samples]; NaN where one side has none."""
        sorted_weights = weights[:, self.rows]
        gained = np.add.reduceat(sorted_weights * self.own, self.begins, axis=1)
        chosen = np.cumsum(np.add.reduceat(sorted_weights, self.begins, axis=1), axis=1)
        hits = np.cumsum(gained, axis=1)
        misses = chosen - hits
        with np.errstate(invalid="ignore", divide="ignore"):
            below = misses[:, -1:] - misses + np.diff(misses, axis=1, prepend=0) / 2  # ties count half
            auc = (gained * below).sum(axis=1) / (hits[:, -1] * misses[:, -1])
            precision = np.where(chosen > 0, hits / chosen, 0)
            average = (gained * precision).sum(axis=1) / hits[:, -1]
        return np.stack([auc, np.where(misses[:, -1] > 0, average, np.nan)])


def _drawn(scores: Matrix, true: NDArray[np.bool_], labels: Sequence[int], seed: int) -> dict[int, NDArray[np.float64]]:
    """The areas of each label in each sample of rows, [2, samples], few samples at a time; nothing of very many rows."""
    rows, random = len(true), generator(seed, "ranking")
    if not 0 < rows * len(labels) <= _MOST_SCORES:
        return {}
    samples = int(np.clip(_SCORES // (rows * len(labels)), _FEWEST, _SAMPLES))
    steps = {label: Steps.of(true[:, label], scores[:, label]) for label in labels}
    found: dict[int, list[NDArray[np.float64]]] = {label: [] for label in labels}
    at_once = max(1, _AT_ONCE // rows)
    for begin in range(0, samples, at_once):
        count = min(at_once, samples - begin)
        weights = np.array(
            [np.bincount(random.integers(rows, size=rows), minlength=rows) for _ in range(count)], np.float64
        )
        for label in labels:
            found[label].append(steps[label].areas(weights))
    return {label: np.concatenate(parts, axis=1) for label, parts in found.items()}


def _mean(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over labels of each sample, of those labels that it can rank."""
    known = ~np.isnan(drawn)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, drawn, 0).sum(axis=0) / known.sum(axis=0)
    return mean


def _intervals(drawn: NDArray[np.float64]) -> dict[str, list[float]]:
    """The middle 95 % of the samples that could be ranked, by figure."""
    kept = drawn[:, ~np.isnan(drawn).any(axis=0)]
    if not kept.shape[1]:
        return {}
    low, high = np.quantile(kept, [0.025, 0.975], axis=1)
    return {name: [float(low[place]), float(high[place])] for place, name in enumerate(_FIGURES)}


def _figures(own: NDArray[np.bool_], score: Matrix) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    found = (roc_auc_score(own, score), average_precision_score(own, score))
    return {name: float(value) for name, value in zip(_FIGURES, found, strict=True)}


def _curves(own: NDArray[np.bool_], score: Matrix) -> dict[str, list[list[float]]]:
    from sklearn.metrics import precision_recall_curve, roc_curve

    across, up, _ = roc_curve(own, score)
    precision, recall, _ = precision_recall_curve(own, score)
    return {"roc": _thinned(across, up), "pr": _thinned(recall[::-1], precision[::-1])}


def _thinned(across: NDArray[Any], up: NDArray[Any]) -> list[list[float]]:
    """At most so many points of a curve, its ends among them, in four digits."""
    kept = np.unique(np.linspace(0, len(across) - 1, min(len(across), _POINTS)).round().astype(np.int64))
    return [[round(float(across[one]), 4), round(float(up[one]), 4)] for one in kept]
