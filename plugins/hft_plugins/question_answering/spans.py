"""Stretches of a context, and what the windows that hold them say. Numpy and the standard library only."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Logits = NDArray[np.float64]
Window = tuple[NDArray[np.int32], Logits, Logits]
"""Offsets [tokens, 2] in the context, and the logits of each token as start and as end [tokens]."""

_SHARED = 32  # bits of a place's number that are its end


class Found(NamedTuple):
    """What the windows of one context say."""

    places: list[tuple[int, int]]
    """The best stretches, first character and the one behind the last, without spaces at their borders; best first."""
    logits: list[float]
    """Of each, start and end together: the largest of all windows that hold it."""
    total: float
    """Logarithm of the sum of exp(logit) over all stretches; -inf where there is none."""
    none: float
    """What speaks for no answer: the smallest sum of any window, for an answer in one of them is an answer."""


def found_in(context: str, windows: Sequence[Window], longest: int, count: int) -> Found:
    """Rank the stretches of at most `longest` tokens; gives the best `count`, and at least two."""
    parts = [_stretches(*window, longest) for window in windows]
    keys, logits = _best_of_windows(
        np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])
    )
    total = float(np.logaddexp.reduce(logits)) if len(logits) else -np.inf
    places: list[tuple[int, int]] = []
    kept: list[float] = []
    for index in np.argsort(-logits, kind="stable"):
        key = int(keys[index])
        place = trimmed(context, *_with_marks(context, key >> _SHARED, key & ((1 << _SHARED) - 1)))
        if place is not None and place not in places:
            places.append(place)
            kept.append(float(logits[index]))
            if len(places) == max(2, count):
                break
    return Found(places, kept, total, min(_no_answer(*window) for window in windows))


def tokens_of_text(offsets: NDArray[np.int32]) -> Numbers:
    """Places, in a window, of the tokens that stand for characters of the context."""
    return np.flatnonzero(offsets[:, 1] > offsets[:, 0])


def trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The stretch without spaces at its borders; None where nothing is left."""
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    end = start + len(inner.strip())
    return (start, end) if start < end else None


def _with_marks(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch with the accents on its first and last character, which a tokenizer may have dropped or cut off."""
    while 0 < start < len(text) and unicodedata.category(text[start]).startswith("M"):
        start -= 1
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        end += 1
    return start, end


def _stretches(offsets: NDArray[np.int32], start: Logits, end: Logits, longest: int) -> tuple[Numbers, Logits]:
    """Number and logit of every stretch of a window; a stretch's number is its start and end in one."""
    tokens = tokens_of_text(offsets)
    count = len(tokens)
    width = min(longest, count)
    first = np.repeat(np.arange(count), width)
    last = first + np.tile(np.arange(width), count)
    first, last = first[last < count], last[last < count]
    begins, ends = offsets[tokens, 0].astype(np.int64), offsets[tokens, 1].astype(np.int64)
    return (begins[first] << _SHARED) | ends[last], start[tokens][first] + end[tokens][last]


def _best_of_windows(keys: Numbers, logits: Logits) -> tuple[Numbers, Logits]:
    """Each stretch once, in order, with its largest logit; several windows have it, or several pieces of one character."""
    known, which = np.unique(keys, return_inverse=True)
    best = np.full(len(known), -np.inf)
    np.maximum.at(best, which, logits)
    return known, best


def _no_answer(offsets: NDArray[np.int32], start: Logits, end: Logits) -> float:
    """What a window's own token for it says of no answer."""
    token = int(np.flatnonzero(offsets[:, 0] < 0)[0])
    return float(start[token] + end[token])
