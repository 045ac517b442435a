"""Finds the words of texts that a table can replace: each distinct piece of text between spaces is looked at once."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hft_core import Spans
from hft_plugins.augmenters.longest import LongestMatch, unspaced_counts
from hft_plugins.augmenters.numbering import Numbering
from hft_plugins.augmenters.table import Table
from hft_plugins.augmenters.words import (
    ARTICLES,
    fits_article,
    has_unspaced,
    is_free,
    is_unspaced,
    spaced_words,
    spelt_like,
)

_SENTENCE_END = frozenset(".!?…。！？:;\"“”'‘(\n")
_MOST_PIECES = 100_000
"""Distinct pieces of text that are remembered; after that all are forgotten."""

Integers = NDArray[np.int64]


class Found(NamedTuple):
    """The words of texts that can be replaced, in order: text by text, from the left."""

    counts: Integers
    """Number of words of each text."""
    rows: Integers
    """The text that a candidate stands in."""
    starts: Integers
    ends: Integers
    choices: Integers
    """What may stand there, see `Lookup.chosen`."""

    def per_text(self) -> Integers:
        """Number of candidates of each text."""
        return np.bincount(self.rows, minlength=len(self.counts))


class Lookup:
    """A table of synonyms, and what was found out about pieces of text."""

    def __init__(self, table: Table, protected: frozenset[str]):
        """Take the table without protected words; those count where unspaced scripts are cut into words."""
        self.table = table
        alone = [word for word in table.entries if len(word) == 1 and is_unspaced(word)]
        self._longest = LongestMatch(protected.union(table.entries), table.lengths, alone)
        self._pieces = _Pieces(self)
        self._choice_of: dict[tuple[str, str], int] = {}
        self._tiers, self._first, self._count = array("d"), array("q"), array("q")
        self._synonyms: list[str] = []

    def find(self, texts: Sequence[str], spans: Sequence[Spans]) -> Found:
        """Give the candidates of all texts, but for names and what touches `spans`."""
        unspaced = [row for row, text in enumerate(texts) if not text.isascii() and has_unspaced(text)]
        if not unspaced:
            found = self._pieces.find(texts)
        elif len(unspaced) == len(texts):
            found = self._unspaced(texts)
        else:
            found = self._both(texts, unspaced)
        return _outside(found, spans)

    def choice(self, word: str, article: str = "") -> int:
        """Give the number of what may stand for a word as it is spelt, behind an article or not; -1: nothing."""
        entry = self.table.entries.get(word.lower())
        if entry is None:
            return -1
        key = (word, article)
        number = self._choice_of.get(key)
        if number is None:
            fitting = [other for other in entry.synonyms if fits_article(article, other)]
            number = self._choice_of[key] = self._added(entry.tier, word, fitting) if fitting else -1
        return number

    def tiers(self, choices: Integers) -> NDArray[np.float64]:
        """Give the tier of each: lower ones come first."""
        return np.frombuffer(self._tiers, np.float64)[choices] if len(choices) else np.zeros(0)

    def chosen(self, choices: Integers, numbers: NDArray[np.float64]) -> list[str]:
        """Draw a synonym, spelt as the word is, for each choice by the low bits of a number in [0, 1)."""
        if not len(choices):
            return []
        first, count = np.frombuffer(self._first, np.int64)[choices], np.frombuffer(self._count, np.int64)[choices]
        at = first + (numbers * (1 << 40)).astype(np.int64) % count
        return list(map(self._synonyms.__getitem__, at.tolist()))

    def _added(self, tier: float, word: str, synonyms: Sequence[str]) -> int:
        self._tiers.append(tier)
        self._first.append(len(self._synonyms))
        self._count.append(len(synonyms))
        self._synonyms += [spelt_like(word, other) for other in synonyms]
        return len(self._tiers) - 1

    def _both(self, texts: Sequence[str], unspaced: Sequence[int]) -> Found:
        """Find in texts with and without unspaced scripts, and put the candidates in order."""
        others = sorted(set(range(len(texts))).difference(unspaced))
        counts = np.zeros(len(texts), np.int64)
        parts: list[Found] = []
        for own, find in ((unspaced, self._unspaced), (others, self._pieces.find)):
            found = find([texts[row] for row in own])
            counts[own] = found.counts
            parts.append(found._replace(rows=np.array(own)[found.rows]))
        rows, starts, ends, choices = map(np.concatenate, zip(*(part[1:] for part in parts), strict=True))
        order = np.lexsort((starts, rows))
        return Found(counts, rows[order], starts[order], ends[order], choices[order])

    def _unspaced(self, texts: Sequence[str]) -> Found:
        """Find by longest match, and words with spaces between them beside that."""
        text = "\n".join(texts)
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        begins = np.cumsum(sizes + 1) - sizes - 1
        places: list[tuple[int, int, int]] = []  # start, end and choice
        within: list[tuple[int, int]] = []  # start of a word, how many characters are no words of their own for it
        for start, end in self._longest.find(text):
            within.append((start, end - start - 1))
            if (choice := self.choice(text[start:end])) >= 0:
                places.append((start, end, choice))
        previous, last = "", 0
        for match in spaced_words(text):
            start, end = match.span()
            within.append((start, -1))
            article = previous if previous in ARTICLES and text[last:start].isspace() else ""
            previous, last = match[0].lower(), end
            row_start = int(begins[np.searchsorted(begins, start, "right") - 1])
            if (choice := self.choice(match[0], article)) >= 0 and not _is_name(text[row_start:end], start - row_start):
                places.append((start, end, choice))
        at, less = np.array(within, np.int64).reshape(-1, 2).T
        own = np.searchsorted(begins, at, "right") - 1
        counts = unspaced_counts(text, begins) - np.bincount(own, less, len(texts)).astype(np.int64)
        starts, ends, choices = np.array(sorted(places), np.int64).reshape(-1, 3).T
        rows = np.searchsorted(begins, starts, "right") - 1
        # A word of a table may end in letters that are a word on their own.
        alone = starts >= np.append(0, np.maximum.accumulate(ends))[: len(ends)]
        found = Found(counts, rows, starts - begins[rows], ends - begins[rows], choices)
        return Found(counts, *(column[alone] for column in found[1:]))


class _Pieces(dict[str, int]):
    """What is known of each distinct piece of text between spaces: its number, by which the arrays have the rest."""

    def __init__(self, lookup: Lookup):
        super().__init__()
        self._lookup = lookup
        self._begin()

    def _begin(self) -> None:
        self.clear()
        self._numbering = Numbering(self.__getitem__)
        self._length, self._words, self._article = array("q"), array("q"), array("b")
        self._is_blank, self._ends_sentence = array("b"), array("b")
        self._first, self._candidates = array("q"), array("q")
        # Of each candidate in a piece: its place there, whether it is a name unless a sentence begins with it, and what may
        # stand for it behind no article, behind `a` and behind `an`.
        self._start, self._end, self._is_name, self._choices = array("q"), array("q"), array("b"), array("q")

    def __missing__(self, piece: str) -> int:
        found = [(match.start(), match.end(), match[0]) for match in spaced_words(piece)]
        number = self[piece] = len(self._length)
        self._length.append(len(piece))
        self._words.append(len(found))
        self._article.append(
            ARTICLES.index(found[-1][2].lower()) + 1 if found and found[-1][2].lower() in ARTICLES else 0
        )
        stripped = piece.rstrip()
        self._is_blank.append(not stripped)
        self._ends_sentence.append(stripped[-1:] in _SENTENCE_END)
        self._first.append(len(self._start))
        previous = ""
        for position, (start, end, word) in enumerate(found):
            articles = ("", *ARTICLES) if position == 0 else (previous,) * 3
            previous = word.lower()
            choices = [self._lookup.choice(word, article) for article in articles]
            capital = word[0].isupper() and not word.isupper()
            begins = not piece[:start].strip()
            if max(choices) < 0 or (capital and not begins and _is_name(piece[:end], start)):
                continue
            self._start.append(start)
            self._end.append(end)
            self._is_name.append(capital and begins)
            self._choices.extend(choices)
        self._candidates.append(len(self._start) - self._first[number])
        return number

    def find(self, texts: Sequence[str]) -> Found:
        """Find the candidates of texts without unspaced scripts."""
        if len(self) > _MOST_PIECES:
            self._begin()
        if not texts:
            return Found(*np.zeros((5, 0), np.int64))
        ids, sizes = self._numbering.of(texts)
        firsts = np.cumsum(sizes) - sizes
        words = np.array(self._words)[ids]
        counts = np.add.reduceat(words, firsts)
        lengths = np.array(self._length)[ids] + 1
        begins = np.cumsum(lengths) - lengths
        each = np.array(self._candidates)[ids]
        holders = np.flatnonzero(each)
        own = np.repeat(holders, each[holders])  # the piece of each candidate
        before = np.cumsum(each[holders]) - each[holders]
        number = np.repeat(np.array(self._first)[ids[holders]] - before, each[holders]) + np.arange(len(own))
        rows = np.searchsorted(firsts, own, "right") - 1
        article = self._last(np.array(self._article)[ids], words > 0, own, firsts[rows])
        choices = np.array(self._choices).reshape(-1, 3)[number, article] if len(number) else number
        usable = choices >= 0
        names = np.array(self._is_name)[number] != 0
        if names.any():
            ended = np.array(self._ends_sentence)[ids]
            within = self._last(2 - ended, np.array(self._is_blank)[ids] == 0, own, firsts[rows])
            usable &= ~names | (within != 2)
        offset = begins[own] - begins[firsts[rows]]
        starts, ends = offset + np.array(self._start)[number], offset + np.array(self._end)[number]
        return Found(counts, *(column[usable] for column in (rows, starts, ends, choices)))

    @staticmethod
    def _last(values: Integers, counts: NDArray[np.bool_], own: Integers, firsts: Integers) -> Integers:
        """Give the value of the last piece before each of `own`, and in the same text, that counts; 0: there is none."""
        last = np.maximum.accumulate(np.where(counts, np.arange(len(values)), -1))
        at = np.append(-1, last)[own]
        return np.where(at >= firsts, values[at], 0).astype(np.int64)


def _outside(found: Found, spans: Sequence[Spans]) -> Found:
    """Leave out candidates that touch a span."""
    if not any(spans):
        return found
    free = [
        not spans[row] or is_free(start, end, spans[row])
        for row, start, end in zip(found.rows.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True)
    ]
    return Found(found.counts, *(column[np.array(free, np.bool_)] for column in found[1:]))


def _is_name(text: str, start: int) -> bool:
    """Whether the word from `start` to the end of a text has an initial capital that no beginning of a sentence explains."""
    if not text[start].isupper() or text[start:].isupper():
        return False
    before = text[:start].rstrip()
    return bool(before) and before[-1] not in _SENTENCE_END
