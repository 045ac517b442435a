"""Near duplicates among many texts: MinHash over character n-grams finds candidates, exact Jaccard decides.

Character n-grams need no words, so Chinese works as English does. Everything is numpy over whole batches.
Sources: A. Broder, On the resemblance and containment of documents (1997), for MinHash; P. Indyk and R. Motwani,
Approximate nearest neighbors (1998), for banding; the splitting into bands follows J. Leskovec et al., Mining of
Massive Datasets, chapter 3.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple
from unicodedata import category, normalize

import numpy as np
from numpy.typing import NDArray

_IN_BAND = 4
"""MinHash values that must agree together for two texts to become a candidate."""
_MISSED = 0.005
"""Share of pairs exactly at the threshold that no band may catch."""
_NEIGHBOURS = 64
"""Texts of one bucket before it that a text is compared with at most, beside the bucket's first: boilerplate, of which a
bucket has thousands, must not take its square."""
_AT_ONCE = 1 << 22
"""N-grams that are compared in one go."""
_MOST_COLUMNS = 4
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ divided by the golden ratio, odd: spreads bits
_STEP = np.uint64(0x100000001B3)  # base of the polynomial over the characters of an n-gram
_HIGH = np.uint64(32)


class Pairs(NamedTuple):
    """What is alike. Rows are numbered in the order in which they were added."""

    first: NDArray[np.int64]
    """For each row the first row with the same set of n-grams: itself, where there is none before it."""
    rows: NDArray[np.int64]
    """[pairs, 2] similar rows, the earlier one on the left; both are the first of their equals."""
    similarity: NDArray[np.float64]
    """Jaccard similarity of each pair, that of the less similar column."""


class TextIndex:
    """Texts of one or several columns, to be compared each with each.

    Two rows are alike where, in every column, the sets of character n-grams have a Jaccard similarity of at least
    `threshold`. Only letters, digits and marks count, in lower case and half width, unless a text has nothing else; an
    n-gram that begins with a Chinese, Japanese or Korean character has half as many characters (rounded up), for one of
    those says as much as two or three letters. Towards its end a text's n-grams become shorter, so that texts of one
    character have one, too. N-grams are compared by 32-bit hashes. A row without text is like none.

    A row takes `4 * bands + 30` bytes of memory (74 at a threshold of 0.8); its n-grams are in a temporary file.
    """

    def __init__(self, threshold: float = 0.8, ngram: int = 5, columns: int = 1):
        if not 1 <= columns <= _MOST_COLUMNS:
            raise ValueError(f"a row may have 1 to {_MOST_COLUMNS} columns of text, not {columns}")
        self.threshold, self.ngram, self.columns = threshold, ngram, columns
        bands = math.ceil(math.log(_MISSED) / math.log(max(1 - threshold**_IN_BAND, 1e-9)))
        draw = np.random.Generator(np.random.PCG64(20))
        self._factors = draw.integers(0, 1 << 31, bands * _IN_BAND, np.uint32) * np.uint32(2) + np.uint32(1)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the index
        self._bands: list[NDArray[np.uint32]] = []  # [rows, bands]
        self._identity: list[NDArray[np.uint64]] = []  # hash of the whole set
        self._sizes: list[NDArray[np.int32]] = []  # [rows, columns] n-grams
        self._groups: list[NDArray[np.int64]] = []

    def add(self, *texts: Sequence[str], groups: Sequence[int] | None = None) -> None:
        """Add rows: one sequence of texts per column. Rows of different `groups` are never alike."""
        if not texts[0]:
            return
        rows = len(texts[0])
        found = np.concatenate([self._ngrams(column, position) for position, column in enumerate(texts)])
        found.sort()
        found = found[np.append(True, found[1:] != found[:-1])[: len(found)]]
        owner, grams = (found >> _HIGH).astype(np.int64), found.astype(np.uint32)
        sizes = np.bincount(owner, minlength=rows)
        full = np.flatnonzero(sizes)
        identity, bands = np.zeros(rows, np.uint64), np.zeros((rows, len(self._factors) // _IN_BAND), np.uint32)
        if len(full):
            starts = (np.cumsum(sizes) - sizes)[full]
            spread = (found & np.uint64(0xFFFFFFFF)) * _MULTIPLIER
            identity[full] = np.add.reduceat((spread ^ (spread >> _HIGH)) * _MULTIPLIER, starts) | np.uint64(1)
            bands[full] = self._banded(grams, starts)
        self._identity.append(identity)
        self._bands.append(bands)
        tags = owner * self.columns + (grams >> np.uint32(30) if self.columns > 1 else 0)
        self._sizes.append(
            np.bincount(tags, minlength=rows * self.columns).reshape(rows, self.columns).astype(np.int32)
        )
        self._groups.append(np.zeros(rows, np.int64) if groups is None else np.asarray(groups, np.int64))
        grams.tofile(self._file)

    def pairs(self) -> Pairs:
        """Give what is alike among all rows that were added."""
        if not self._sizes:
            nothing = np.empty(0, np.int64)
            return Pairs(nothing, nothing.reshape(0, 2), np.empty(0))
        groups = np.concatenate(self._groups)
        identity = np.concatenate(self._identity)
        first = _first_of_equals(identity, groups)
        rows = np.flatnonzero((first == np.arange(len(first))) & (identity > 0))
        candidates = self._candidates(rows, groups)
        left, right = candidates // len(first), candidates % len(first)
        similarity = self._similarities(left, right)
        alike = similarity >= self.threshold - 1e-9
        return Pairs(first, np.stack([left[alike], right[alike]], axis=1), similarity[alike])

    def _ngrams(self, texts: Sequence[str], column: int) -> NDArray[np.uint64]:
        """Hash the n-grams of each text: its row in the upper half of each number, the n-gram in the lower."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        owner = np.repeat(np.arange(len(texts)), lengths)
        plain = _plain()
        kept = plain[np.minimum(codes, len(plain) - 1)]
        if len(codes) and codes.max() >= len(plain):
            kept = np.where(codes >= len(plain), codes, kept)
        bare = np.bincount(owner[kept > 0], minlength=len(texts)) == 0
        if bare.any():  # nothing but signs, such as emoticons: they count, and only spaces do not
            kept = np.where(bare[owner] & (codes > 32), codes, kept)
        inside = kept > 0
        kept, owner = kept[inside].astype(np.uint64), owner[inside]
        places = np.arange(len(kept)) + owner * (self.ngram - 1)  # each text is followed by ngram - 1 zeros
        padded = np.zeros(len(kept) + len(texts) * (self.ngram - 1) + self.ngram, np.uint64)
        padded[places] = kept
        last = len(padded) - self.ngram
        short = (self.ngram + 1) // 2
        hashes = padded[:last].copy()
        for offset in range(1, self.ngram):
            if offset == short:
                shorter = hashes.copy()
            hashes *= _STEP
            hashes += padded[offset : last + offset]
        if short < self.ngram and len(kept) and kept.max() >= 0x3040:
            starts = padded[:last]
            dense = ((starts >= 0x3040) & (starts < 0xA000)) | ((starts >= 0xAC00) & (starts < 0xD7A4)) | (
                (starts >= 0x20000) & (starts < 0x32000)
            )  # fmt: skip
            hashes = np.where(dense, shorter, hashes)
        hashes = hashes[places] * _MULTIPLIER
        hashes ^= hashes >> _HIGH
        hashes *= _MULTIPLIER
        hashes >>= _HIGH
        if self.columns > 1:  # the column in the two highest bits
            hashes = (hashes >> np.uint64(2)) | np.uint64(column << 30)
        result: NDArray[np.uint64] = hashes | (owner.astype(np.uint64) << _HIGH)
        return result

    def _banded(self, grams: NDArray[np.uint32], starts: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Give the bands' hashes of each text, whose n-grams begin at `starts`: [texts, bands]."""
        bands = np.empty((len(starts), len(self._factors) // _IN_BAND), np.uint32)
        for band in range(bands.shape[1]):
            key = np.zeros(len(starts), np.uint64)
            for factor in self._factors[band * _IN_BAND : (band + 1) * _IN_BAND]:
                key = (key ^ np.minimum.reduceat(grams * factor, starts)) * _MULTIPLIER
                key ^= key >> _HIGH
            bands[:, band] = key.astype(np.uint32)
        return bands

    def _candidates(self, rows: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give pairs of rows that share a band, as left * total + right, each once and in order."""
        total = len(groups)
        found = [np.empty(0, np.int64)]
        for band in range(len(self._factors) // _IN_BAND):
            keys = np.concatenate([part[:, band] for part in self._bands])[rows]
            order = np.argsort(keys, kind="stable")
            keys, ordered = keys[order], rows[order]
            begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
            sizes = np.diff(np.append(begins, len(keys)))
            pairs = [(np.repeat(ordered[begins], sizes), ordered)]
            alive = np.arange(len(keys))
            for distance in range(1, _NEIGHBOURS + 1):
                alive = alive[alive + distance < len(keys)]
                alive = alive[keys[alive] == keys[alive + distance]]
                if not len(alive):
                    break
                pairs.append((ordered[alive], ordered[alive + distance]))
            for left, right in pairs:
                wanted = (left < right) & (groups[left] == groups[right])
                found.append(left[wanted] * total + right[wanted])
        return np.unique(np.concatenate(found))

    def _similarities(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the exact Jaccard similarity of pairs of rows, the smallest over the columns."""
        sizes = np.concatenate(self._sizes).astype(np.int64)
        totals = sizes.sum(axis=1)
        starts = np.cumsum(totals) - totals
        self._file.flush()
        grams = np.memmap(self._file, np.uint32, mode="r") if totals.sum() else np.empty(0, np.uint32)
        result = np.empty(len(left))
        for begin, end in _chunks(totals[left] + totals[right]):
            ours, theirs = left[begin:end], right[begin:end]
            count = end - begin
            keys = np.concatenate([_gathered(grams, starts[side], totals[side]) for side in (ours, theirs)])
            keys.sort()
            both = keys[1:][keys[1:] == keys[:-1]]
            pair = (both >> _HIGH).astype(np.int64)
            column = (both.astype(np.uint32) >> np.uint32(30)).astype(np.int64) if self.columns > 1 else 0
            shared = np.bincount(pair * self.columns + column, minlength=count * self.columns)
            shared = shared.reshape(count, self.columns)
            union = sizes[ours] + sizes[theirs] - shared
            result[begin:end] = np.where(union > 0, shared / np.maximum(union, 1), 1.0).min(axis=1)
        return result


def _first_of_equals(identity: NDArray[np.uint64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give for each row the first one with the same n-grams and group; a row without n-grams is its own."""
    first = np.arange(len(identity))
    order = np.lexsort((first, groups, identity))
    begins = np.append(True, (identity[order][1:] != identity[order][:-1]) | (groups[order][1:] != groups[order][:-1]))
    first[order] = order[begins][np.cumsum(begins) - 1]
    return np.where(identity > 0, first, np.arange(len(identity)))


def _gathered(grams: NDArray[np.uint32], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Give the n-grams of some rows, with the position of the row in this list in the upper half."""
    ends = np.cumsum(sizes)
    places = np.arange(ends[-1]) + np.repeat(starts - (ends - sizes), sizes)
    owner = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    owner <<= _HIGH
    owner |= grams[places]
    return owner


def _chunks(costs: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut a list into stretches that cost about `_AT_ONCE` at most."""
    begin = 0
    totals = np.cumsum(costs)
    while begin < len(costs):
        before = int(totals[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(totals, before + _AT_ONCE, side="right")))
        yield begin, end
        begin = end


@cache
def _plain() -> NDArray[np.uint32]:
    """What each character of the first plane counts as: 0 for none, else one in lower case and half width."""
    table = np.zeros(0x10001, np.uint32)  # the last entry stands for all planes behind
    for code in range(0x10000):
        character = chr(code)
        if category(character)[0] in "LNM":
            folded = normalize("NFKC", character).lower()
            table[code] = ord(folded) if len(folded) == 1 else code
    return table
