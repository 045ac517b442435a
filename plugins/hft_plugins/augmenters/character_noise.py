"""Augmenter that confuses characters: typing, scanning, homophones and look-alikes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from hft_core import DataError, Edit, Editor, LearningAugmenter, RowRandom, Spans, TextBatch, Training
from hft_plugins.augmenters.label_words import label_weights
from hft_plugins.augmenters.longest import word_lengths
from hft_plugins.augmenters.protected import PROTECTED, may_come_in, negates
from hft_plugins.augmenters.table import UNREADABLE, read_tsv
from hft_plugins.augmenters.words import draws, is_free, is_unspaced, plain, segmented, share, spelt_like

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_OCR = "a:o e:c c:e,o o:0,c l:1,i i:l,1 s:5 b:6,h g:9,q q:g h:b n:r,u u:v v:u z:2 t:f f:t m:rn w:vv d:cl rn:m cl:d vv:w ri:n"

Confusions = Mapping[str, tuple[str, ...]]
"""What a character, or several, may be taken for."""


class CharacterNoise(LearningAugmenter):
    """Takes characters for others: neighbours on the keyboard, what scanners confuse, or a table of your own.

    In words with spaces one place a word changes, never in negations, degree words and function words. A table of
    homophones or look-alikes serves Chinese; entries of several characters are found by longest match.
    """

    type: Literal["character-noise"]
    table: Literal["keyboard", "ocr"] | Path = "keyboard"
    """`keyboard` (QWERTY), `ocr`, or a TSV file in UTF-8, one entry a line: a character or several, a tab, what it may be
    taken for, separated by `|` or tabs."""
    rate: float = Field(default=0.05, gt=0, le=1)
    """Share of the words (in Chinese: characters) that change: at least one."""
    keep_labels: bool = True
    """Words that go with a label in the training rows stay, and no word of these rows comes in (in Chinese: none that goes
    with a label). Of the others, those come first on which a label hangs least, as in `synonyms`. For tasks with one label a
    row."""

    def editor(self, training: Training) -> Editor:
        """Read the table, and learn which words go with a label. Raises DataError where the table cannot be read."""
        noise = _Noise(_confusions(self.table), training if self.keep_labels else Training())

        def edits(batch: TextBatch, random: RowRandom) -> list[list[Edit]]:
            rows = [noise.words(text, own) for text, own in zip(batch.texts, batch.spans, strict=True)]
            numbers = draws(random, [2 * len(found) for _, found in rows])
            return [
                noise.edits(text, found, share(self.rate, count), drawn)
                for text, (count, found), drawn in zip(batch.texts, rows, numbers, strict=True)
            ]

        return edits


class _Word(NamedTuple):
    """A word that may change."""

    start: int
    end: int
    places: Sequence[tuple[int, int]]
    """Where it can."""
    weight: float
    """How much a label hangs on it."""


class _Noise:
    """The words that may change, and what they become."""

    def __init__(self, confusions: Confusions, training: Training):
        self._confusions = confusions
        self._lengths = word_lengths(PROTECTED.union(confusions))
        self._weights = label_weights(training, lambda text: (word for _, _, word in self._segmented(text)))

    def _segmented(self, text: str) -> list[tuple[int, int, str]]:
        return segmented(text, self._confusions, PROTECTED, self._lengths)

    def words(self, text: str, spans: Spans) -> tuple[int, list[_Word]]:
        """Give the number of words, and those that may change."""
        found = self._segmented(text)
        words: list[_Word] = []
        for start, end, word in found:
            weight = self._weights.get(word, 0.0)
            if word in PROTECTED or weight == inf:
                continue
            places = [(start, end)] if is_unspaced(word[0]) else _within(start, word, self._confusions)
            free = [
                place for place in places if text[slice(*place)].lower() in self._confusions and is_free(*place, spans)
            ]
            if free:
                words.append(_Word(start, end, free, weight))
        return len(found), words

    def edits(self, text: str, words: Sequence[_Word], count: int, numbers: Sequence[float]) -> list[Edit]:
        """Change so many words by two numbers in [0, 1) for each; those of little weight come first."""
        order = sorted(range(len(words)), key=lambda at: words[at].weight + numbers[at])
        edits: list[Edit] = []
        for at in sorted(order[:count]):
            if changes := list(self._changes(text, words[at])):
                edits.append(changes[int(numbers[len(words) + at] * len(changes))])
        return edits

    def _changes(self, text: str, word: _Word) -> Iterator[Edit]:
        """Give what may happen to a word, but for what makes a word of it that is not to come in."""
        unspaced = is_unspaced(text[word.start])  # what sounds or looks alike is a word there, too
        for start, end in word.places:
            for other in self._confusions[text[start:end].lower()]:
                after = plain(text[word.start : start] + other + text[end : word.end])
                if unspaced:  # 的, 得 and 地 are taken for one another; nothing is taken for a negation
                    fits = self._weights.get(after, 0.0) < inf and not negates(after)
                else:
                    fits = after not in self._weights and may_come_in(after)
                if fits:
                    yield Edit(start, end, spelt_like(text[start:end], other))


def _within(start: int, word: str, confusions: Confusions) -> list[tuple[int, int]]:
    """Places of a spaced word that can change; its first letter stays, for readers know a word by it."""
    return [
        (start + at, start + at + size)
        for at in range(1, len(word))
        for size in (1, 2)
        if at + size <= len(word) and word[at : at + size] in confusions
    ]


def _confusions(table: Path | str) -> Confusions:
    if isinstance(table, Path):
        try:
            return _of_file(table, table.stat().st_mtime_ns)
        except UNREADABLE as error:
            raise DataError(f"{table}: the table cannot be read: {error}; name a TSV file in UTF-8") from error
    return _keyboard() if table == "keyboard" else _ocr()


@lru_cache(maxsize=4)
def _of_file(path: Path, changed: int) -> Confusions:
    return {key: others for key, (_, others) in read_tsv(path).items() if others}


@lru_cache(maxsize=1)
def _keyboard() -> Confusions:
    """A key's neighbours: beside it, and in the rows above and below, which are shifted by half a key."""
    places = {key: (row, column + row / 2) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)}
    return {
        key: tuple(
            other
            for other, (row, column) in places.items()
            if other != key and abs(row - at[0]) <= 1 and abs(column - at[1]) <= 1
        )
        for key, at in places.items()
    }


@lru_cache(maxsize=1)
def _ocr() -> Confusions:
    return {key: tuple(others.split(",")) for key, others in (entry.split(":") for entry in _OCR.split())}
