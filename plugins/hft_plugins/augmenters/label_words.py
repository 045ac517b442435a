"""How much a label hangs on each word, by the training rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import inf

from hft_core import Training
from hft_plugins.augmenters.table import Entry

_MOST_ROWS = 50_000
"""Rows that are read: more would tell little more about common words."""
_LEAST = 3
"""Rows that a word must stand in before it can be said to go with a label."""
_GOES_WITH = 2.0
"""Standard deviations from the rows that chance has, from which it does."""
_ODDS = 1.2
"""Odds of the label among the word's rows, by those among all rows, that it has to have, too: of thousands of rows chance
explains hardly any difference, however small. Of two equal labels that is 5 points."""
_RARE = ((1, 0.0), (3, 1.0), (10, 2.0))
"""Below so many rows: the weight. A model knows nothing of a word that it has not met, and of rare ones what chance has it."""
_MARGIN = 0.5
"""Synonyms whose weight is at most so much above the least one serve, too."""


def label_weights(training: Training, words_of: Callable[[str], Iterable[str]]) -> dict[str, float]:
    """Give how much a model that is trained on these rows may make of each word of theirs; a word that is absent: 0.

    Infinite for a word that stands with one label more often than chance has it. The others follow what the coefficients of
    a regression on TF-IDF are like: larger for a word of a dozen rows than for a rare one, and for a common one by how far
    it leans to a label. Rows without labels: no word has any.

    Args:
        training: the rows.
        words_of: gives the words of a text.
    """
    if training.label is None:
        return {}
    rows: Counter[str] = Counter()
    by_label: dict[str, Counter[str]] = defaultdict(Counter)
    labels: Counter[str] = Counter()
    for batch in training.rows():
        for label, *texts in zip(batch[training.label], *(batch[name] for name in training.roles.text), strict=True):
            found = {word for text in texts for word in words_of(text)}
            rows.update(found)
            by_label[str(label)].update(found)
            labels[str(label)] += 1
        if labels.total() >= _MOST_ROWS:
            break
    return {word: _weight(count, *_leaning(word, count, by_label, labels)) for word, count in rows.items()}


def _leaning(word: str, count: int, by_label: Mapping[str, Counter[str]], labels: Counter[str]) -> tuple[float, bool]:
    """Standard deviations by which a word stands in the rows of a label more often than chance has it, of the largest; and
    whether it goes with a label."""
    most, goes = 0.0, False
    for label, size in labels.items():
        share, own = size / labels.total(), by_label[label][word] / count
        deviation = (share * (1 - share) / count) ** 0.5
        deviations = (own - share) / deviation if deviation else 0.0
        most = max(most, deviations)
        goes = goes or (deviations >= _GOES_WITH and own * (1 - share) >= _ODDS * share * (1 - own))
    return most, goes


def _weight(count: int, leaning: float, goes: bool) -> float:
    if count >= _LEAST and goes:
        return inf
    for below, weight in _RARE:
        if count < below:
            return weight
    return 2.0 + 0.25 * leaning if count < 30 else 1.2 + leaning


def safest(entries: Mapping[str, Entry], weights: Mapping[str, float]) -> dict[str, Entry]:
    """Leave out words that go with a label, and keep the synonyms of least weight; words of little weight come first."""
    kept: dict[str, Entry] = {}
    for word, (tier, synonyms) in entries.items():
        found = [weights.get(other.lower(), 0.0) for other in synonyms]
        own, least = weights.get(word, 0.0), min(found, default=inf)
        if own + least < inf:
            near = [other for other, weight in zip(synonyms, found, strict=True) if weight <= least + _MARGIN]
            kept[word] = Entry(tier + own + least, tuple(near))
    return kept
