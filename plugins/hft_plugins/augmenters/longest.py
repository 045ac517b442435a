"""Words of scripts without spaces, found by longest match in many texts at once."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hft_plugins.augmenters.words import UNSPACED, is_unspaced

_BITS = 20
"""Of the hash of two characters; of its values, a few per cent are taken by the words of a large lexicon."""
_CODES = 0x40000
"""Code points from here on belong to no unspaced script."""


class LongestMatch:
    """Cuts texts into the longest words of a list; a character that begins none of them is a word of its own."""

    def __init__(self, words: Container[str], lengths: Mapping[str, Sequence[int]], alone: Iterable[str] = ()):
        """Take the words, what `word_lengths` says of them, and words of one character that are to be found, too."""
        self._words, self._lengths, self._alone = words, lengths, frozenset(alone)
        self._is_alone = np.zeros(_CODES + 1, np.bool_)
        self._is_alone[[ord(character) for character in self._alone]] = True
        begin = np.frombuffer("".join(lengths).encode("utf-32-le"), np.uint32).reshape(-1, 2)
        self._begins = np.zeros(1 << _BITS, np.bool_)
        self._begins[_hashed(begin[:, 0], begin[:, 1])] = True

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Give start and end of each word that was asked for, in order."""
        codes = _codes(text)
        end = 0
        # Of nearly all places numpy says that no word begins there; the dict has the last word.
        begins = np.append(self._begins[_hashed(codes[:-1], codes[1:])], False)[: len(codes)]
        if self._alone:
            begins |= self._is_alone[np.minimum(codes, _CODES)]
        for start in np.flatnonzero(begins).tolist():
            if start < end:
                continue
            for length in self._lengths.get(text[start : start + 2], ()):
                if text[start : start + length] in self._words:
                    end = min(start + length, len(text))
                    yield start, end
                    break
            else:
                if text[start] in self._alone:
                    end = start + 1
                    yield start, end


def unspaced_counts(text: str, begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the number of characters of unspaced scripts in each part of a text, which begin at `begins`."""
    totals = np.append(0, np.cumsum(_unspaced()[np.minimum(_codes(text), _CODES)]))
    return np.asarray(np.diff(totals[np.append(begins, len(text))]), np.int64)


def word_lengths(words: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Give the lengths of those words of unspaced scripts that have 2 characters or more: by the first two, longest first."""
    lengths: dict[str, set[int]] = {}
    for word in words:
        if len(word) > 1 and is_unspaced(word[0]):
            lengths.setdefault(word[:2], set()).add(len(word))
    return {first: tuple(sorted(found, reverse=True)) for first, found in lengths.items()}


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _hashed(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return (first * np.uint32(0x9E3779B1) + second * np.uint32(0x85EBCA6B)) >> np.uint32(32 - _BITS)


@cache
def _unspaced() -> NDArray[np.bool_]:
    """Whether each code point is a character of an unspaced script; the last entry stands for all from there on."""
    table = np.zeros(_CODES + 1, np.bool_)
    for first, last in UNSPACED:
        table[ord(first) : ord(last) + 1] = True
    return table
