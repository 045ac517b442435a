"""Slices: the deciding figure on parts of the rows, and which of them are too far from the rest to be chance.

A slice is compared with random parts of the same size of the same rows (a permutation test), so that any metric is judged
fairly, also one whose figure depends on how many rows there are. P-values are corrected together by Holm's method.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Facts, Metric
from hft_core.evidence.comparison import holm
from hft_core.evidence.intervals import grouped, resampled
from hft_core.runtime.randomness import generator

MINIMUM_ROWS = 20
"""Rows under which a slice is shown and not judged."""
LEVEL = 0.05
_MOST_VALUES = 12
"""Values of a column that are slices of their own; the rest are put together."""
_LONGEST = 40
"""Characters of a value in its title."""
_OTHERS = "other values"
_NOTHING = "no value"
_DRAWS = 1000
_DRAWS_A_SLICE = 40
"""Random parts for each slice that is judged, where 1,000 do not tell: Holm's method multiplies by the number of slices, so
that the least p-value of a thousand draws is above 0.05 once there are 51 of them."""
_FEW = 10
"""Random parts as far off as a slice, up to which more are drawn."""
_DRAWN_ROWS = 500
"""Rows at most of a random part; of larger slices the spread follows from it."""
_SAMPLES = 400
_UNITS = 1000
_NOT_ADDITIVE_ROWS = 5_000

Names = Sequence[str | None]
"""The slice of each row; None: in none."""


def by_length(texts: Sequence[str]) -> Names:
    """Name each row by the quarter of the lengths, in characters, that its text is in."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if not len(lengths):
        return []
    edges = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75]).astype(np.int64))
    starts = [int(lengths.min()), *(int(edge) + 1 for edge in edges)]
    ends = [*(int(edge) for edge in edges), int(lengths.max())]
    titles = [f"{start:,} to {end:,} characters" for start, end in zip(starts, ends, strict=True)]
    return [titles[place] for place in np.searchsorted(edges, lengths, side="left").tolist()]


def by_value(values: Iterable[Any]) -> Names:
    """Name each row by its value in a column, long ones by their beginning; rare ones, where there are many, together."""
    words = [None if value is None or value == "" else str(value) for value in values]
    taken = {_OTHERS}
    titles: dict[str | None, str] = {}
    for word, _ in Counter(words).most_common(_MOST_VALUES):
        titles[word] = _untaken(_NOTHING if word is None else word[:_LONGEST], taken)
        taken.add(titles[word])
    return [titles.get(word, _OTHERS) for word in words]


def _untaken(title: str, taken: Collection[str]) -> str:
    """A title that no other value has: `TITLE (2)` where two begin alike."""
    numbered = (f"{title} ({number})" for number in count(2))
    return next(one for one in chain([title], numbered) if one not in taken)


def compared_slices(
    metric: Metric, statistics: NDArray[np.float64], facts: Facts, dimensions: Mapping[str, Names], seed: int = 0
) -> list[dict[str, Any]]:
    """Measure each slice of each dimension that has two or more; plain JSON, in order, the largest slices of each first.

    Args:
        statistics: what `metric.rows` gave, float64 [rows, k].
        dimensions: by name, the slice of each row.

    Returns:
        For each `by`, `value`, `rows`, `figure` (with its interval of 95 % over the slice's rows), the `rest`'s figure, and
        `adjusted`, the p-value against random parts of the rows, corrected for all slices; None for one that is too small
        or whose figure is no number.
        `apart` says whether it is at most 0.05.
    """
    counted = {by: Counter(name for name in names if name is not None) for by, names in dimensions.items()}
    divided = {by: counts for by, counts in counted.items() if len(counts) > 1}
    large_enough = sum(rows >= MINIMUM_ROWS for counts in divided.values() for rows in counts.values())
    chance = _Chance(metric, statistics, facts, seed, large_enough)
    found: list[dict[str, Any]] = []
    for by, counts in divided.items():
        names = dimensions[by]
        codes = {name: place for place, name in enumerate(counts)}
        which = np.array([codes[name] if name is not None else -1 for name in names])
        for name, rows in counts.most_common():
            inside = which == codes[name]
            value = _figure(metric, statistics[inside], facts)
            low, high = _interval(metric, statistics[inside], facts, seed)
            found.append(
                {
                    "by": by,
                    "value": name,
                    "rows": rows,
                    "figure": {"value": value, "low": low, "high": high},
                    "rest": _figure(metric, statistics[(which >= 0) & ~inside], facts),
                    "p": chance.p(value, rows) if rows >= MINIMUM_ROWS else None,
                }
            )
    judged = [entry for entry in found if entry["p"] is not None]
    for entry, adjusted in zip(judged, holm([entry["p"] for entry in judged]), strict=True):
        entry["adjusted"] = adjusted
    for entry in found:
        del entry["p"]
        entry.setdefault("adjusted", None)
        entry["apart"] = entry["adjusted"] is not None and entry["adjusted"] <= LEVEL
    return found


class _Chance:
    """What random parts of the rows come to."""

    def __init__(self, metric: Metric, statistics: NDArray[np.float64], facts: Facts, seed: int, slices: int):
        self._metric, self._statistics, self._facts, self._seed = metric, statistics, facts, seed
        self._most = max(_DRAWS, _DRAWS_A_SLICE * slices)
        self._known: dict[tuple[int, int], NDArray[np.float64]] = {}

    def p(self, value: float, rows: int) -> float | None:
        """How likely a part of so many rows is at least as far from their mean; None where figures are no numbers."""
        total = len(self._statistics)
        size = min(rows, _DRAWN_ROWS)
        drawn = self._drawn(size, _DRAWS)
        if not (math.isfinite(value) and np.isfinite(drawn).all()):
            return None
        distance = abs(value - drawn.mean())
        if size == rows:
            reached = _reaching(drawn, value)
            if reached <= _FEW and self._most > _DRAWS:
                drawn = self._drawn(size, self._most)
                reached = _reaching(drawn, value)
            return (1 + reached) / (1 + len(drawn))
        # A part of more rows varies less, and not at all where it is all of them.
        spread = drawn.std() * math.sqrt(size / rows * (1 - rows / total) / (1 - size / total))
        return math.erfc(distance / spread / math.sqrt(2)) if spread > 0 else float(distance < 1e-12)

    def _drawn(self, size: int, count: int) -> NDArray[np.float64]:
        """The figures of `count` random parts of so many rows; the first ones are always the same."""
        if (size, count) not in self._known:
            random = generator(self._seed, "slices", size)
            parts = (self._statistics[random.choice(len(self._statistics), size, replace=False)] for _ in range(count))
            self._known[size, count] = np.array([_figure(self._metric, part, self._facts) for part in parts])
        return self._known[size, count]


def _reaching(drawn: NDArray[np.float64], value: float) -> int:
    """How many random parts are as far from their mean as a slice is."""
    mean = drawn.mean()
    return int((np.abs(drawn - mean) >= abs(value - mean) - 1e-12).sum())


def _figure(metric: Metric, statistics: NDArray[np.float64], facts: Facts) -> float:
    return float(metric.figures(statistics, facts)[metric.title])


def _interval(
    metric: Metric, statistics: NDArray[np.float64], facts: Facts, seed: int
) -> tuple[float | None, float | None]:
    """The percentile interval over the rows of a slice; none of many rows whose statistics do not add up."""
    random = generator(seed, "slice", len(statistics))
    if metric.additive:
        samples = resampled(grouped(statistics, seed, _UNITS), _SAMPLES, random)
    elif len(statistics) <= _NOT_ADDITIVE_ROWS:
        samples = (statistics[random.integers(len(statistics), size=len(statistics))] for _ in range(_SAMPLES))  # type: ignore[assignment]  # one at a time
    else:
        return None, None
    values = [float(metric.figures(sample, facts)[metric.title]) for sample in samples]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
