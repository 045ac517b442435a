"""Augmenter that confuses characters: typing, scanning, homophones and look-alikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from hft_core import Augmenter, DataError, Edit, RowRandom, Spans
from hft_plugins.augmenters.longest import word_lengths
from hft_plugins.augmenters.protected import PROTECTED
from hft_plugins.augmenters.table import UNREADABLE, read_tsv
from hft_plugins.augmenters.words import chosen, draws, is_free, is_unspaced, pick, segmented, share, spelt_like

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_OCR = "a:o e:c c:e,o o:0,c l:1,i i:l,1 s:5 b:6,h g:9,q q:g h:b n:r,u u:v v:u z:2 t:f f:t m:rn w:vv d:cl rn:m cl:d vv:w ri:n"

Confusions = Mapping[str, tuple[str, ...]]
"""What a character, or several, may be taken for."""


class CharacterNoise(Augmenter):
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

    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give one edit a changed place. Raises DataError where the table cannot be read."""
        confusions = _confusions(self.table)
        lengths = word_lengths(PROTECTED.union(confusions))
        rows = [_places(text, own, confusions, lengths) for text, own in zip(texts, spans, strict=True)]
        counts = [min(share(self.rate, count), len(places)) for count, places in rows]
        result: list[list[Edit]] = []
        for text, (_, places), count, numbers in zip(
            texts, rows, counts, draws(random, [2 * count for count in counts]), strict=True
        ):
            edits: list[Edit] = []
            for index, number in zip(chosen(len(places), numbers[:count]), numbers[count : 2 * count], strict=True):
                start, end = places[index][int(number * len(places[index]))]
                others = confusions[text[start:end].lower()]
                edits.append(Edit(start, end, spelt_like(text[start:end], others[pick(number, len(others))])))
            result.append(sorted(edits))
        return result


def _places(
    text: str, spans: Spans, confusions: Confusions, lengths: Mapping[str, Sequence[int]]
) -> tuple[int, list[list[tuple[int, int]]]]:
    """Give the number of words, and for each that may change the places where it can."""
    found = segmented(text, confusions, PROTECTED, lengths)
    words: list[list[tuple[int, int]]] = []
    for start, end, word in found:
        if word in PROTECTED:
            continue
        places = [(start, end)] if is_unspaced(word[0]) else _within(start, word, confusions)
        free = [place for place in places if text[slice(*place)].lower() in confusions and is_free(*place, spans)]
        if free:
            words.append(free)
    return len(found), words


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
