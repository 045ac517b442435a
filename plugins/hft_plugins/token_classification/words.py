"""Words of texts, and the tokens that decide about them. Numpy and the standard library only.

A word is what gets one tag: a run of letters and digits, however many tokens it has, or a compound (see compounds.py); or one
token of anything else, of punctuation, emoji, or a script that sets no spaces between words. What the tokenizer dropped right
behind a token (accents, invisible marks) belongs to its word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.runtime.ragged import Ragged
from hft_plugins.token_classification.characters import is_of_word
from hft_plugins.token_classification.compounds import continued

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """The words of several texts, in order; places count characters of the texts joined by one character each."""

    row: Numbers
    """The text of each word."""
    start: Numbers
    end: Numbers
    token: Numbers
    """The token that decides, as its position among the tokens of all windows: the word's first one, in the window
    where it has most context."""
    begun: Numbers
    """Of each token of all windows: the word that it begins, or -1. A word's other tokens, and of the bytes of its first
    character those behind the first, begin none."""
    base: Numbers
    """Where each text begins."""


def words(texts: Sequence[str], offsets: Ragged, rows: NDArray[Any], compounds: Sequence[str] = ()) -> Words:
    """Find the words of `texts`.

    Args:
        texts: one per row.
        offsets: start and end of each token in its text, [tokens, 2], one entry per window; equal for special tokens.
        rows: the row of each window, ascending; together the windows of a row have all its tokens.
        compounds: the kinds of compounds that are one word, see `compounds.undivided`.
    """
    base = np.cumsum([0, *(len(text) + 1 for text in texts)], dtype=np.int64)[:-1]
    solid, joined = _characters(texts, compounds)

    # Tokens that stand for characters, without the spaces that some tokenizers count to them.
    lengths = offsets.lengths
    window = np.repeat(np.arange(len(lengths)), lengths)
    row = np.asarray(rows, np.int64)[window]
    places = offsets.values.astype(np.int64) + base[row][:, None]
    start = np.minimum(_next(solid)[places[:, 0]], places[:, 1])
    end = np.maximum(_behind_last(solid)[places[:, 1]], start)
    own = np.flatnonzero(end > start)
    start, end, row = start[own], end[own], row[own]

    # Of the bytes of one character, those behind the first.
    later = np.append(False, (start[1:] == start[:-1]) & (window[own][1:] == window[own][:-1]))[: len(own)]
    place = np.arange(len(window)) - np.repeat(offsets.offsets[:-1], lengths)
    context = np.minimum(place, np.repeat(lengths, lengths) - 1 - place)[own]

    # Each token once, from the window where it has most context; those that begin at the same place are one.
    order = np.lexsort((-context, later, start))
    firsts = np.flatnonzero(_changes(start[order]))
    best = order[firsts]
    starts, ends = start[best], np.maximum.reduceat(end[order], firsts)

    # No character twice.
    behind = np.append(starts[1:], len(solid))
    ends = np.minimum(ends, behind)

    # A token within a run of letters goes on with its word; but it begins one if all of the run before it was dropped.
    heads = np.flatnonzero(_behind_last(~joined)[starts + 1] > np.append(0, ends[:-1])[: len(ends)])
    begins = ~later & np.isin(start, starts[heads])
    begun = np.full(len(window), -1, np.int64)
    begun[own] = np.where(begins, np.searchsorted(starts[heads], start), -1)

    # What no token stands for, up to a space, goes to the one before.
    ends = np.minimum(_next(~solid)[ends], behind)
    lasts = (np.append(heads[1:], len(starts)) - 1)[: len(heads)]
    return Words(row[best][heads], starts[heads], ends[lasts], own[best][heads], begun, base)


def _characters(texts: Sequence[str], compounds: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For each character of the texts, each followed by a line end: is it no space; does it continue a word?"""
    whole = "".join(text + "\n" for text in texts)
    codes = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), np.uint32)
    known, which = np.unique(codes, return_inverse=True)
    solid = np.array([not chr(code).isspace() for code in known], bool)[which]
    letter = np.array([is_of_word(chr(code)) for code in known], bool)[which]
    return solid, letter & np.append(False, letter[:-1]) | continued(whole, compounds)


def _next(mask: NDArray[np.bool_]) -> Numbers:
    """For each place and the one behind the last: the first one from there on where `mask` is true, or behind all."""
    found = np.append(np.where(mask, np.arange(len(mask)), len(mask)), len(mask))
    return np.minimum.accumulate(found[::-1])[::-1]


def _behind_last(mask: NDArray[np.bool_]) -> Numbers:
    """For each place and the one behind the last: the place behind the last true one before it, or 0."""
    return np.maximum.accumulate(np.append(0, np.where(mask, np.arange(1, len(mask) + 1), 0)))


def _changes(values: Numbers) -> NDArray[np.bool_]:
    """Where a value differs from the one before; true at the first one."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]
