"""Baselines for rows with one label: what a model has to beat before it is worth its cost.

scikit-learn (which has no type stubs) is imported inside functions only. Logistic regression is
fitted by L-BFGS, which draws nothing at random: the same rows give the same predictions.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Prediction
from hft_core.runtime.randomness import generator

MAX_ROWS = 20_000
"""Training rows that a baseline reads at most."""
MAX_CHARACTERS = 2_000
"""Characters of a text that TF-IDF reads at most."""
MAX_FEATURES = 100_000
"""N-grams that TF-IDF keeps at most, the most frequent ones; fewer with many classes (see `MAX_WEIGHTS`)."""
MAX_WEIGHTS = 5_000_000
"""Features times classes of the regression at most: it keeps some twenty vectors of this length."""

# Han with its extensions, kana, Thai, Lao, Burmese, Khmer: scripts that put no space between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def training_rows(rows: int) -> NDArray[np.int64]:
    """Give the rows, in order, that a baseline reads of `rows`: all up to `MAX_ROWS`, else that many at random."""
    if rows <= MAX_ROWS:
        return np.arange(rows)
    return np.sort(generator("baseline", rows).permutation(rows)[:MAX_ROWS])


def majority(train_labels: Sequence[str], rows: int) -> list[Prediction]:
    """Predict the most frequent label (the first in order among equals) for each of `rows` rows."""
    counts = Counter(train_labels)
    label = min(counts, key=lambda name: (-counts[name], name))
    return [{"label": label}] * rows


def tfidf(train_texts: Sequence[str], train_labels: Sequence[str], texts: Sequence[str]) -> list[Prediction]:
    """Predict by logistic regression on TF-IDF of n-grams.

    N-grams are 1 or 2 words, or 1 to 3 characters of a text in a script without spaces. Bounded by `MAX_ROWS`,
    `MAX_CHARACTERS` and `MAX_FEATURES`. Without a single n-gram or a second class it is the majority class.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    words = CountVectorizer(token_pattern=r"\w+", ngram_range=(1, 2)).build_analyzer()
    characters = CountVectorizer(analyzer="char", ngram_range=(1, 3)).build_analyzer()

    def ngrams(text: str) -> list[str]:
        text = text[:MAX_CHARACTERS]
        found: list[str] = (characters if _UNSPACED.search(text) else words)(text)
        return found

    rows = training_rows(len(train_texts))
    labels = [train_labels[row] for row in rows]
    if not texts or len(set(labels)) < 2 or not any(ngrams(train_texts[row]) for row in rows):
        return majority(train_labels, len(texts))
    vectorizer = TfidfVectorizer(
        analyzer=ngrams, sublinear_tf=True, max_features=min(MAX_FEATURES, MAX_WEIGHTS // len(set(labels)))
    )
    features = vectorizer.fit_transform([train_texts[row] for row in rows])
    # With the default of 1 the penalty is too strong for rows of length 1 in so many dimensions.
    return _classified(features, labels, vectorizer.transform(texts), inverse_penalty=10.0)


def linear_probe(train_vectors: NDArray[Any], train_labels: Sequence[str], vectors: NDArray[Any]) -> list[Prediction]:
    """Predict by logistic regression on standardised vectors of a frozen model, float [rows, width].

    Reads the `training_rows` of the training vectors only; whoever embeds the texts need embed no others.
    """
    from sklearn.preprocessing import StandardScaler

    rows = training_rows(len(train_vectors))
    labels = [train_labels[row] for row in rows]
    if not len(vectors) or len(set(labels)) < 2:
        return majority(train_labels, len(vectors))
    scaler = StandardScaler().fit(train_vectors[rows])
    return _classified(scaler.transform(train_vectors[rows]), labels, scaler.transform(vectors), inverse_penalty=0.1)


def _classified(features: Any, labels: Sequence[str], new: Any, inverse_penalty: float) -> list[Prediction]:
    """Fit logistic regression and label the rows of `new`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # The default tolerance of 1e-4 costs twice the time and moved no accuracy by 0.01 on four data sets.
    model = LogisticRegression(C=inverse_penalty, max_iter=300, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what 300 iterations give is baseline enough
        model.fit(features, np.array(labels, dtype=object))
    return [{"label": str(label)} for label in model.predict(new)]
