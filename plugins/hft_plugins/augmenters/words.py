"""What the lexical augmenters share: words with their places, sentences, and random choices.

A word is a run of letters (with apostrophes and hyphens within), or a clitic that a tokeniser has split off ("it 's"); numbers
and punctuation are none. In scripts without spaces (Han, kana) every character counts as a word.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np

from hft_core import Edit, RowRandom, Spans
from hft_core.runtime.edits import touches

UNSPACED = (
    ("\u3005", "\u3007"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
"""First and last character of each range of Han characters and kana."""
_UNSPACED = "".join(f"{first}-{last}" for first, last in UNSPACED)
_LETTER = rf"[^\W\d_{_UNSPACED}]"
_MARKED = rf"(?:{_LETTER}[\u0300-\u036f\u0900-\u0903\u093a-\u094f]*)+"  # letters with their combining marks
_CLITIC = r"['’](?<![^\W_].)(?:[sSmMdDtT]|[rR][eE]|[vV][eE]|[lL][lL])(?![^\W_])"  # split off, as in "it 's"
_SPACED_WORD = rf"{_MARKED}(?:['’-]{_MARKED})*|{_CLITIC}"
_WORD = re.compile(rf"(?!\d)[{_UNSPACED}]|{_SPACED_WORD}")
_SPACED = re.compile(_SPACED_WORD)  # the same without unspaced scripts
_RUN = re.compile(rf"(?:(?!\d)[{_UNSPACED}])+|{_SPACED_WORD}")  # the same, unspaced characters together
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_WORD_ASCII = re.compile(f"[A-Za-z]+(?:['-][A-Za-z]+)*|{_CLITIC}")  # the same for ASCII, and faster
_SENTENCE = re.compile(  # a full stop within a number or an address ends nothing
    r"""(?:[^.!?。！？…\n]|[.!?](?!\Z|[\s"'”’).!?]))*(?:[.!?]+["'”’)]*|[。！？…]+[”’」』）]*|\n|\Z)\s*"""
)


def words(text: str) -> Iterator[re.Match[str]]:
    """Give the words of a text in order, as matches."""
    return (_WORD_ASCII if text.isascii() else _WORD).finditer(text)


def spaced_words(text: str) -> Iterator[re.Match[str]]:
    """Give those words of a text that are of no unspaced script."""
    return (_WORD_ASCII if text.isascii() else _SPACED).finditer(text)


def segmented(
    text: str, known: Container[str], more: Container[str], lengths: Mapping[str, Sequence[int]]
) -> list[tuple[int, int, str]]:
    """Give start, end and plain form of each word; unspaced scripts are cut into the longest words of two lists.

    Args:
        text: any text.
        known: words.
        more: further words.
        lengths: of the words of unspaced scripts, by their first two characters, longest first.
    """
    if text.isascii():
        return [(*match.span(), match[0].lower()) for match in _WORD_ASCII.finditer(text)]
    found: list[tuple[int, int, str]] = []
    for match in _RUN.finditer(text):
        start, stop = match.span()
        run = match[0]
        if run < "\u3000" or not is_unspaced(run[0]):
            found.append((start, stop, plain(run)))
            continue
        while start < stop:
            end = start + 1
            for length in lengths.get(text[start : start + 2], ()):
                piece = text[start : start + length]
                if piece in known or piece in more:
                    end = start + len(piece)  # the text may end before
                    break
            found.append((start, end, text[start:end]))
            start = end
    return found


def sentences(text: str) -> list[tuple[int, int]]:
    """Give start and end of each sentence, with the space behind it; together they are the text."""
    return [match.span() for match in _SENTENCE.finditer(text) if match[0]]


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script without spaces."""
    return _UNSPACED_CHARACTER.match(character) is not None


def has_unspaced(text: str) -> bool:
    """Whether a text has a character of a script without spaces."""
    return _UNSPACED_CHARACTER.search(text) is not None


def is_free(start: int, end: int, spans: Spans) -> bool:
    """Whether no protected span has characters in ``[start, end)``, or this place within."""
    edit = Edit(start, end, "")
    return not any(touches(edit, span) for span in spans)


def is_clitic(word: str) -> bool:
    """Whether a word leans on the one before it."""
    return word[:1] in ("'", "’") or (word[:1] in "nN" and plain(word) == "n't")


def plain(word: str) -> str:
    """A word in lower case, with a straight apostrophe: how lists of words have it."""
    return word.lower().replace("’", "'")


def share(rate: float, count: int) -> int:
    """How many of `count` words are to be changed: their share, at least one."""
    return max(1, round(rate * count))


def draws(random: RowRandom, counts: Sequence[int]) -> list[list[float]]:
    """Give ``counts[i]`` numbers in [0, 1) for row i."""
    numbers = random.flat(np.array(counts, np.int64)).tolist()
    ends = list(accumulate(counts))
    return [numbers[end - count : end] for count, end in zip(counts, ends, strict=True)]


def chosen(count: int, numbers: Sequence[float]) -> list[int]:
    """Choose ``len(numbers)`` different ones of ``range(count)`` in random order (Fisher and Yates, cut short)."""
    pool = list(range(count))
    for place, number in enumerate(numbers):
        other = place + int(number * (count - place))
        pool[place], pool[other] = pool[other], pool[place]
    return pool[: len(numbers)]


def pick(number: float, count: int) -> int:
    """Choose one of ``range(count)`` by the low bits of a number in [0, 1), whose high bits have served already."""
    return int(number * (1 << 40)) % count


def spelt_like(word: str, other: str) -> str:
    """Give another word with the capitals of a word."""
    if word.islower():
        return other
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[0].upper() + other[1:] if word[0].isupper() else other


ARTICLES = ("a", "an")


def fits_article(article: str, word: str) -> bool:
    """Whether a word can stand behind `a` or `an`, by its first letter; behind anything else it can."""
    return article not in ARTICLES or (word[0] in "aeiouAEIOU") == (article == "an")
