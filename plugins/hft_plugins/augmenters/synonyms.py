"""Augmenter that replaces words by synonyms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from hft_core import Augmenter, Edit, RowRandom, Spans
from hft_plugins.augmenters.protected import PROTECTED
from hft_plugins.augmenters.table import ENGLISH, Table, load
from hft_plugins.augmenters.words import chosen, draws, is_free, is_unspaced, share, words

_SENTENCE_END = frozenset(".!?…。！？:;\"“”'‘(\n")


class _Place(NamedTuple):
    """A word that can be replaced."""

    start: int
    end: int
    synonyms: Sequence[str]


class Synonyms(Augmenter):
    """Replaces words by synonyms; negations, degree words, numbers, function words and names stay.

    A word is replaced only where it stands in the table as it is spelt in the text, up to case, so forms such as
    plurals change only if the table has them. Initial capitals and capitals are kept; a word with a capital
    within a sentence is taken for a name. After `a` and `an` only synonyms with a fitting first letter serve.
    Chinese is cut into the longest words of the table; single characters stay.
    """

    type: Literal["synonyms"]
    rate: float = Field(default=0.1, gt=0, le=1)
    """Share of the words that are replaced: at least one, as far as the table has them."""
    table: Path | None = None
    """A TSV file in UTF-8 (`.gz` for a compressed one), one word a line: the word, a tab, its synonyms separated
    by `|` or tabs. By default an English table made of WordNet 3.0."""
    protect: list[str] = Field(default_factory=list)
    """Further words that stay."""

    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give one edit a replaced word. Raises DataError where the table cannot be read."""
        protected = PROTECTED.union(word.lower() for word in self.protect)
        table = load(self.table or ENGLISH, protected)
        rows = [_places(text, stretches, table, protected) for text, stretches in zip(texts, spans, strict=True)]
        counts = [min(share(self.rate, count), len(places)) for count, places in rows]
        result: list[list[Edit]] = []
        # Of the 2n numbers of a row, n choose words and n choose one synonym each.
        for text, (_, places), count, numbers in zip(
            texts, rows, counts, draws(random, [2 * count for count in counts]), strict=True
        ):
            edits: list[Edit] = []
            for index, number in zip(chosen(len(places), numbers[:count]), numbers[count : 2 * count], strict=True):
                start, end, synonyms = places[index]
                synonym = synonyms[int(number * len(synonyms))]
                edits.append(Edit(start, end, _spelt_like(text[start:end], synonym)))
            result.append(sorted(edits))
        return result


def _places(text: str, spans: Spans, table: Table, protected: frozenset[str]) -> tuple[int, list[_Place]]:
    """Give the number of words and those that can be replaced."""
    count = 0
    previous = ""
    places: list[_Place] = []
    for start, end, word in _words(text, table, protected):
        count += 1
        synonyms = table.synonyms.get(word)
        if synonyms is not None:
            if previous in ("a", "an"):
                synonyms = tuple(other for other in synonyms if (other[0] in "aeiou") == (previous == "an"))
            if synonyms and not (spans and not is_free(start, end, spans)) and not _is_name(text, start, end):
                places.append(_Place(start, end, synonyms))
        previous = word
    return count, places


def _words(text: str, table: Table, protected: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """Give start, end and lower-case form of each word; unspaced scripts are cut by the table."""
    done = 0  # where the last word that was cut ends
    for match in words(text):
        start, end = match.span()
        if start < done:
            continue
        word = match[0].lower()
        if word > "\u3000" and is_unspaced(word[0]):
            word = ""  # a single character stays
            for length in table.lengths.get(text[start], ()):
                piece = text[start : start + length]
                if piece in table.synonyms or piece in protected:
                    word, end = piece, start + length
                    break
            done = end
        yield start, end, word


def _is_name(text: str, start: int, end: int) -> bool:
    """Whether a word has an initial capital that no beginning of a sentence explains."""
    if not text[start].isupper() or text[start:end].isupper():
        return False
    before = text[:start].rstrip()
    return bool(before) and before[-1] not in _SENTENCE_END


def _spelt_like(word: str, synonym: str) -> str:
    """Give the synonym with the capitals of the word."""
    if word.isupper() and len(word) > 1:
        return synonym.upper()
    return synonym[0].upper() + synonym[1:] if word[0].isupper() else synonym
