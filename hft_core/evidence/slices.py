"""Slices: the deciding figure on parts of the rows, and which of them are too far from the rest to be chance.

A slice is compared with random parts of the same size of the same rows (a permutation test), so that any metric is judged
fairly, also one whose figure depends on how many rows there are. P-values are corrected together by Holm's method.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
_DRAWS = 1000
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
    """Name each row by its value in a column; rare ones, where there are many, together."""
    words = ["none" if value is None or value == "" else str(value)[:40] for value in values]
    kept = {word for word, _ in Counter(words).most_common(_MOST_VALUES)}
    return [word if word in kept else "other values" for word in words]


def compared_slices(
    metric: Metric, statistics: NDArray[np.float64], facts: Facts, dimensions: Mapping[str, Names], seed: int = 0
) -> list[dict[str, Any]]:
    """Measure each slice of each dimension that has two or more; plain JSON, in order, the largest slices of each first.

    Args:
        statistics: what `metric.rows` gave, float64 [rows, k].
        dimensions: by name, the slice of each row.

    Returns:
        For each `by`, `value`, `rows`, `figure` (with its interval of 95 % over the slice's rows), the `rest`'s figure, and
        `adjusted`, the p-value against random parts of the rows, corrected for all slices; None for one that is too small.
        `apart` says whether it is at most 0.05.
    """
    chance = _Chance(metric, statistics, facts, seed)
    found: list[dict[str, Any]] = []
    for by, names in dimensions.items():
        counts = Counter(name for name in names if name is not None)
        if len(counts) < 2:
            continue
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

    def __init__(self, metric: Metric, statistics: NDArray[np.float64], facts: Facts, seed: int):
        self._metric, self._statistics, self._facts, self._seed = metric, statistics, facts, seed
        self._known: dict[int, NDArray[np.float64]] = {}

    def p(self, value: float, rows: int) -> float:
        """How likely a part of so many rows is at least as far from their mean."""
        total = len(self._statistics)
        size = min(rows, _DRAWN_ROWS)
        if size not in self._known:
            random = generator(self._seed, "slices", size)
            parts = (self._statistics[random.choice(total, size, replace=False)] for _ in range(_DRAWS))
            self._known[size] = np.array([_figure(self._metric, part, self._facts) for part in parts])
        drawn = self._known[size]
        distance = abs(value - drawn.mean())
        if size == rows:
            return float((1 + (np.abs(drawn - drawn.mean()) >= distance - 1e-12).sum()) / (1 + _DRAWS))
        # A part of more rows varies less, and not at all where it is all of them.
        spread = drawn.std() * math.sqrt(size / rows * (1 - rows / total) / (1 - size / total))
        return math.erfc(distance / spread / math.sqrt(2)) if spread > 0 else float(distance < 1e-12)


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
