"""Texts as TF-IDF of n-grams, bounded in rows, characters and features: what baselines and judges of labels read.

scikit-learn (which has no type stubs) is imported inside functions only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def ngrams_of_texts() -> Callable[[str], list[str]]:
    """Give what cuts a text into its n-grams: 1 or 2 words, or 1 to 3 characters in a script without spaces."""
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(token_pattern=r"\w+", ngram_range=(1, 2)).build_analyzer()
    characters = CountVectorizer(analyzer="char", ngram_range=(1, 3)).build_analyzer()

    def ngrams(text: str) -> list[str]:
        text = text[:MAX_CHARACTERS]
        found: list[str] = (characters if _UNSPACED.search(text) else words)(text)
        return found

    return ngrams


def tfidf_vectorizer(ngrams: Callable[[str], list[str]], classes: int) -> Any:
    """Give scikit-learn's TF-IDF of these n-grams, of as many as regressions of so many classes can have."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer=ngrams, sublinear_tf=True, max_features=min(MAX_FEATURES, MAX_WEIGHTS // classes))
