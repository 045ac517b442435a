"""Baselines: what a model has to beat before it is worth its cost. For rows with one label, several labels, or a number.

Each is fitted on features, TF-IDF of the texts or vectors of the frozen model, and predicts what the task's own
predictions hold. scikit-learn (which has no type stubs) is imported inside functions only. Its regressions draw nothing
at random: the same rows give the same predictions.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Facts, Prediction
from hft_core.evidence.tfidf import ngrams_of_texts, tfidf_vectorizer, training_rows
from hft_core.evidence.thresholds import best_threshold

Predict = Callable[[Any], list[Prediction]]
"""Features of rows to predictions."""

NAMES = {
    "label": ("majority", "tfidf", "probe"),
    "labels": ("frequent-set", "tfidf", "probe"),
    "number": ("mean", "tfidf-ridge", "probe-ridge"),
}
"""By `Task.target_form`: the constant, the one on TF-IDF, the one on the frozen model's vectors."""
_PENALTY = {"tfidf": 0.1, "probe": 10.0}
"""Of weights, by features. For rows of length 1 in so many dimensions scikit-learn's default of 1 is too strong."""


def constant(form: str, truths: Sequence[Prediction], facts: Facts, rows: int) -> list[Prediction]:
    """Predict the same for each of `rows` rows: the most frequent label, the most frequent set of labels, or the mean.

    Among equally frequent ones the first in order.
    """
    if form == "number":
        return [{"score": float(np.mean([truth["score"] for truth in truths]))}] * rows
    sets = [tuple(truth["labels"]) if form == "labels" else (truth["label"],) for truth in truths]
    counts = Counter(sets)
    chosen = min(counts, key=lambda labels: (-counts[labels], labels))
    shares = Counter(label for labels in sets for label in labels)
    scores = {label: shares[label] / len(sets) for label in facts["labels"]}
    if form == "labels":
        return [{"labels": list(chosen), "scores": scores}] * rows
    return [{"label": chosen[0], "score": scores.get(chosen[0], 0.0), "scores": scores}] * rows


def tfidf(
    form: str, texts: Sequence[str], truths: Sequence[Prediction], facts: Facts
) -> Callable[..., list[Prediction]]:
    """Fit a linear model on TF-IDF of n-grams, and give what predicts of texts.

    N-grams are 1 or 2 words, or 1 to 3 characters of a text in a script without spaces; see `tfidf.py` for the bounds.
    Without a single n-gram, or anything to tell apart, it is the constant.
    """
    ngrams = ngrams_of_texts()
    rows = training_rows(len(texts))
    some = [texts[row] for row in rows]
    if not any(map(ngrams, some)):
        return lambda new: constant(form, truths, facts, len(new))
    vectorizer = tfidf_vectorizer(ngrams, 1 if form == "number" else len(facts["labels"]))
    predict = _fit(form, vectorizer.fit_transform(some), [truths[row] for row in rows], facts, _PENALTY["tfidf"])
    return lambda new: predict(vectorizer.transform(new)) if len(new) else []


def linear_probe(form: str, vectors: NDArray[Any], truths: Sequence[Prediction], facts: Facts) -> Predict:
    """Fit a linear model on standardised vectors of a frozen model, float [rows, width], of the `training_rows`."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(vectors)
    predict = _fit(form, scaler.transform(vectors), truths, facts, _PENALTY["probe"])
    return lambda new: predict(scaler.transform(new)) if len(new) else []


def with_threshold(predictions: Sequence[Prediction], threshold: float) -> list[Prediction]:
    """Give predictions of several labels with those labels whose score reaches the threshold."""
    return [
        found | {"labels": [label for label, score in found["scores"].items() if score >= threshold]}
        for found in predictions
    ]


def tuned_threshold(predictions: Sequence[Prediction], truths: Sequence[Prediction]) -> float:
    """Give the threshold of all labels with the best F1 on these rows: the task's own are tuned on them, too."""
    scores = np.array([list(found["scores"].values()) for found in predictions])
    true = np.array(
        [
            [label in truth["labels"] for label in found["scores"]]
            for found, truth in zip(predictions, truths, strict=True)
        ]
    )
    return best_threshold(scores.ravel(), true.ravel(), "f1")


def _fit(form: str, features: Any, truths: Sequence[Prediction], facts: Facts, penalty: float) -> Predict:
    if form == "number":
        return _numbers(features, truths, penalty)
    if form == "labels":
        return _label_sets(features, truths, facts, penalty)
    return _labels(features, truths, facts, penalty)


def _labels(features: Any, truths: Sequence[Prediction], facts: Facts, penalty: float) -> Predict:
    """Logistic regression over all labels."""
    labels = [truth["label"] for truth in truths]
    if len(set(labels)) < 2:
        return lambda new: constant("label", truths, facts, new.shape[0])
    model = _regression(features, np.array(labels, dtype=object), penalty)
    known = list(map(str, model.classes_))

    def predict(new: Any) -> list[Prediction]:
        predictions: list[Prediction] = []
        for row in model.predict_proba(new).tolist():
            own = dict(zip(known, row, strict=True))
            best = max(own, key=own.__getitem__)
            scores = {label: own.get(label, 0.0) for label in facts["labels"]}
            predictions.append({"label": best, "score": own[best], "scores": scores})
        return predictions

    return predict


def _label_sets(features: Any, truths: Sequence[Prediction], facts: Facts, penalty: float) -> Predict:
    """A logistic regression of each label against the rest; one that all or no rows have keeps its share."""
    true = {label: np.array([label in truth["labels"] for truth in truths]) for label in facts["labels"]}
    models = {label: _regression(features, rows, penalty) for label, rows in true.items() if 0 < rows.sum() < len(rows)}

    def predict(new: Any) -> list[Prediction]:
        columns = [
            models[label].predict_proba(new)[:, 1] if label in models else np.full(new.shape[0], true[label].mean())
            for label in true
        ]
        rows = np.stack(columns, axis=1).tolist()
        return with_threshold([{"scores": dict(zip(true, row, strict=True))} for row in rows], 0.5)

    return predict


def _numbers(features: Any, truths: Sequence[Prediction], penalty: float) -> Predict:
    """Ridge regression."""
    from sklearn.linear_model import Ridge

    # Squared errors weigh about ten times as much as those of a logistic regression.
    model = Ridge(alpha=10 * penalty).fit(features, [truth["score"] for truth in truths])
    return lambda new: [{"score": float(value)} for value in model.predict(new)]


def _regression(features: Any, labels: NDArray[Any], penalty: float) -> Any:
    """Fit scikit-learn's logistic regression."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # The default tolerance of 1e-4 costs twice the time and moved no accuracy by 0.01 on four data sets.
    model = LogisticRegression(C=1 / penalty, max_iter=300, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what 300 iterations give is baseline enough
        model.fit(features, labels)
    return model
