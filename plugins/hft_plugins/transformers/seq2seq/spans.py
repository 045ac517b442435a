"""Random spans of a batch, and what is made of a text whose spans are hidden. Numpy over whole batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hft_core import Ragged, RowRandom

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Which tokens of a padded batch [rows, width] are hidden."""

    hidden: NDArray[np.bool_]
    first: NDArray[np.bool_]
    """The first token of each span."""
    count: Ids
    """Spans of each row."""


def draw(lengths: Ids, width: int, rate: float, mean: float, most: int, random: RowRandom) -> Spans:
    """Draw spans as T5 does (Raffel et al. 2020, `random_spans_noise_mask`), all arrangements being equally likely.

    Of each row, `rate` of its tokens are hidden, rounded, at least one and not all; in as many spans as make their mean
    length `mean`, at least one and at most `most`. Other than there, a row may also begin with a span, and end without
    one: it is a text, not a cut out of a stream, and a single span would always be its end.

    Args:
        lengths: int64 [rows], at least 2.
        width: of the padded batch.
    """
    hidden = np.clip(np.rint(lengths * rate).astype(np.int64), 1, lengths - 1)
    kept = lengths - hidden
    count = np.clip(np.rint(hidden / mean).astype(np.int64), 1, np.minimum(np.minimum(hidden, kept + 1), most))
    pieces = int(count.max(initial=1))
    sizes = np.zeros((len(lengths), 2 * pieces + 1), np.int64)
    between = _cut(kept + 2, count + 1, pieces + 1, random.uniform(width))
    between[:, 0] -= 1  # what is kept before the first span and behind the last may be nothing
    between[np.arange(len(lengths)), count] -= 1
    sizes[:, 0::2] = between
    sizes[:, 1::2] = _cut(hidden, count, pieces, random.uniform(width, purpose=1))
    borders = np.cumsum(sizes, axis=1)
    columns = np.arange(width)
    piece = np.zeros((len(lengths), width), np.int64)
    for border in range(2 * pieces + 1):  # a few dozen, whatever the number of rows
        piece += columns >= borders[:, border : border + 1]
    is_hidden = (piece % 2 == 1) & (columns < lengths[:, None])
    first = is_hidden.copy()
    first[:, 1:] &= ~is_hidden[:, :-1]
    return Spans(is_hidden, first, count)


def _cut(totals: Ids, count: Ids, most: int, draws: NDArray[np.float64]) -> Ids:
    """Cut each total into `count` parts of at least 1, all cuts being equally likely: int64 [rows, most], then 0.

    The cuts lie where the smallest of the draws do.
    """
    places = np.arange(1, draws.shape[1] + 1)
    free = np.where(places < totals[:, None], draws, 2.0)  # a cut behind each element but the last
    rank = np.argsort(np.argsort(free, axis=1, kind="stable"), axis=1, kind="stable")
    cuts = np.where(rank < count[:, None] - 1, places, totals[:, None])
    ends = np.sort(cuts, axis=1)[:, :most]
    ends = np.pad(ends, ((0, 0), (0, most - ends.shape[1])), mode="edge")
    return np.diff(ends, axis=1, prepend=0)


def corrupted(ids: Ids, lengths: Ids, spans: Spans, sentinels: Ids, end: int) -> tuple[Ragged, Ragged]:
    """Give the inputs, a sentinel in place of each span, and the targets: each sentinel with its span, and a last one.

    Both are closed by the token `end`.
    """
    valid = np.arange(ids.shape[1]) < lengths[:, None]
    number = np.cumsum(spans.first, axis=1) - 1
    marks = sentinels[np.clip(number, 0, len(sentinels) - 1)]
    inputs = Ragged.from_padded(np.where(spans.first, marks, ids), valid & (spans.first | ~spans.hidden))
    both = np.stack([marks, ids], axis=2).reshape(len(ids), -1)
    written = np.stack([spans.first, spans.hidden], axis=2).reshape(len(ids), -1)
    targets = Ragged.from_padded(both, written)
    return _closed(inputs, end), _closed(_closed(targets, sentinels[spans.count]), end)


def _closed(rows: Ragged, ends: Ids | int) -> Ragged:
    """Put a token behind each row."""
    return Ragged(np.insert(rows.values, rows.offsets[1:], ends), rows.offsets + np.arange(len(rows) + 1))
