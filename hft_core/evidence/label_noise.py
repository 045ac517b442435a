"""Labels that a model doubts: confident learning on out-of-fold probabilities.

Source: C. Northcutt, L. Jiang, I. Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels (2021), as in
cleanlab. The model is TF-IDF with logistic regression, so that a data set of some thousand rows takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hft_core.evidence.tfidf import ngrams_of_texts, tfidf_vectorizer, training_rows
from hft_core.runtime.randomness import generator


class Doubts(NamedTuple):
    """What models that have not seen a row say about its label."""

    probability: NDArray[np.float64]
    """[rows] of the label that the data gives."""
    suggested: list[str]
    """The label that is likelier, or the given one."""
    doubtful: NDArray[np.bool_]
    """[rows] Whether the suggested label is another one and as sure as that of the rows that have it."""


def doubted_labels(texts: Sequence[str], labels: Sequence[str], folds: int = 5) -> Doubts:
    """Ask for each row models that were trained without it.

    A row is doubtful where its probability of another class reaches that class's threshold, the mean probability of the
    class among the rows that carry it, and where among the classes of which this is true (its own included) the likeliest
    is another one. Of more than 20,000 rows a fold's model reads that many.
    """
    classes = sorted(set(labels))
    given = np.searchsorted(np.array(classes, dtype=object), np.array(labels, dtype=object))
    if len(classes) < 2:
        return Doubts(np.ones(len(labels)), list(labels), np.zeros(len(labels), np.bool_))
    probabilities = out_of_fold(texts, given, len(classes), folds)
    own = probabilities[np.arange(len(given)), given]
    thresholds = np.array([own[given == number].mean() for number in range(len(classes))])
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    likeliest = confident.argmax(axis=1)
    doubtful = (likeliest != given) & (confident.max(axis=1) > own)
    suggested = np.where(doubtful, likeliest, given)
    return Doubts(own, [classes[number] for number in suggested], doubtful)


def surest(confidence: NDArray[np.float64], wrong: NDArray[np.bool_], share: float = 0.2) -> dict[str, int]:
    """Count rows, those that are wrong, and the same among the `share` of the rows of which a model is surest."""
    count = max(1, round(share * len(wrong)))
    first = np.argsort(-confidence, kind="stable")[:count]
    return {"rows": len(wrong), "wrong": int(wrong.sum()), "sure": count, "sure_wrong": int(wrong[first].sum())}


def out_of_fold(texts: Sequence[str], given: NDArray[np.int64], classes: int, folds: int = 5) -> NDArray[np.float64]:
    """Give each row's probabilities by a model of the other folds: [rows, classes]; `given` are the classes' numbers."""
    ngrams = ngrams_of_texts()
    fold_of = np.empty(len(given), np.int64)
    for number in range(classes):  # each class in all folds
        rows = np.flatnonzero(given == number)
        fold_of[generator("label noise", number).permutation(rows)] = np.arange(len(rows)) % folds
    result = np.zeros((len(given), classes))
    if not any(map(ngrams, texts)):
        return result + np.bincount(given, minlength=classes) / len(given)
    vectorizer = tfidf_vectorizer(ngrams, classes)  # it sees no label, so one serves all folds
    features = vectorizer.fit([texts[row] for row in training_rows(len(texts))]).transform(texts)
    for fold in range(folds):
        rest, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        rest = rest[training_rows(len(rest))]
        known = np.unique(given[rest])
        if len(known) < 2:
            result[np.ix_(held, known)] = 1.0
        elif len(held):
            result[np.ix_(held, known)] = _regression().fit(features[rest], given[rest]).predict_proba(features[held])
    return result


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=100, tol=1e-3)
