"""Intervals of figures: how far a figure could move with other rows, or other seeds.

The method is the percentile bootstrap (Efron 1979, "Bootstrap methods: another look at the jackknife").
It needs only a metric's statistics per row, so nothing is predicted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Facts, Metric
from hft_core.runtime.randomness import generator

_BLOCK = 1 << 21
"""Row draws held at once, or one sample where it has more rows: about 64 MB up to two million rows."""


def bootstrap(
    metric: Metric, statistics: NDArray[np.float64], facts: Facts, seed: int, samples: int = 1000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Give the interval (low, high) of each figure of `metric`.

    With one seed's statistics, rows are drawn with replacement. With several seeds', each sample draws rows (the
    same for every seed, for the test set is one) and seeds, both with replacement, and averages the figure over
    the drawn seeds: an interval of the mean over seeds. With few seeds it is somewhat too narrow, since so few
    cannot show the whole spread between seeds.

    Args:
        metric: whose `value` is computed of each sample.
        statistics: what `metric.rows` gave, float64 [rows, k], or of several seeds [seeds, rows, k].
        facts: the task's facts.
        seed: the interval is a function of this and the statistics.
        samples: how many samples are drawn.
        level: share of the samples that the interval holds, between 0 and 1.

    Raises ValueError where there is no row.
    """
    if statistics.ndim == 2:
        statistics = statistics[None]
    seeds, rows = statistics.shape[:2]
    if not rows:
        raise ValueError("an interval needs at least one row")
    random = generator(seed, "bootstrap")
    drawn_seeds = random.integers(seeds, size=(samples, seeds))
    figures: list[list[float]] = []
    names: list[str] = []
    for draw, sample in zip(drawn_seeds, _samples(metric, statistics, samples, random), strict=True):
        values = [metric.figures(sample[one], facts) for one in draw]
        names = list(values[0])
        figures.append(np.mean([list(value.values()) for value in values], axis=0).tolist())
    tail = (1 - level) / 2
    low, high = np.quantile(np.array(figures), [tail, 1 - tail], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def over_seeds(values: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float | None]]:
    """Give mean and standard deviation (of a sample: divided by n - 1) of each figure; None for it with one seed."""
    return {
        name: (
            float(np.mean([value[name] for value in values])),
            float(np.std([value[name] for value in values], ddof=1)) if len(values) > 1 else None,
        )
        for name in values[0]
    }


def grouped(statistics: NDArray[np.float64], seed: int, units: int = 2000) -> NDArray[np.float64]:
    """Sum the statistics of rows [rows, k] over random groups where there are more than `units` rows: [groups, k].

    Drawing groups instead of rows changes intervals little, and takes as long for a million rows as for some thousand.
    """
    rows = len(statistics)
    if rows <= units:
        return statistics
    order = generator(seed, "groups", rows).permutation(rows)
    return np.add.reduceat(statistics[order], np.linspace(0, rows, units, endpoint=False).astype(np.int64), axis=0)


def resampled(statistics: NDArray[np.float64], samples: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Give the sums of `samples` draws of as many rows, with replacement: [samples, k] of statistics [rows, k]."""
    rows = len(statistics)
    drawn = random.integers(rows, size=(samples, rows))
    counts = np.bincount((drawn + np.arange(samples)[:, None] * rows).ravel(), minlength=drawn.size)
    return counts.reshape(drawn.shape).astype(np.float64) @ statistics


def _samples(
    metric: Metric, statistics: NDArray[np.float64], samples: int, random: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Give each sample's statistics as `metric.value` takes them, one entry per seed."""
    rows = statistics.shape[1]
    block = max(1, _BLOCK // rows)
    for start in range(0, samples, block):
        drawn = random.integers(rows, size=(min(block, samples - start), rows))
        if metric.additive:
            # How often each row was drawn: counts @ statistics are the sums of all samples of the block at once.
            offsets = np.arange(len(drawn))[:, None] * rows
            counts = np.bincount((drawn + offsets).ravel(), minlength=drawn.size).reshape(drawn.shape)
            yield from np.swapaxes(counts.astype(np.float64) @ statistics, 0, 1)
        else:
            yield from (statistics[:, sample] for sample in drawn)
