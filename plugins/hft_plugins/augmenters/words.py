"""What the lexical augmenters share: words with their places, and random choices.

A word is a run of letters (with apostrophes and hyphens within); numbers and punctuation are none. In
scripts without spaces (Han, kana) every character counts as a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hft_core import Edit, RowRandom, Spans
from hft_core.runtime.edits import touches

# Han characters and kana, as part of a class
_UNSPACED = "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"[^\W\d_{_UNSPACED}]"
_MARKED = rf"(?:{_LETTER}[\u0300-\u036f\u0900-\u0903\u093a-\u094f]*)+"  # letters with their combining marks
_WORD = re.compile(rf"{_MARKED}(?:['’-]{_MARKED})*|(?!\d)[{_UNSPACED}]")
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_WORD_ASCII = re.compile("[A-Za-z]+(?:['-][A-Za-z]+)*")  # the same for ASCII, and faster
_MOST_SHARED_DRAWS = 256  # a row that needs more gets its own generator: one long text must not cost all rows memory


def words(text: str) -> Iterator[re.Match[str]]:
    """Give the words of a text in order, as matches."""
    return (_WORD_ASCII if text.isascii() else _WORD).finditer(text)


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script without spaces."""
    return _UNSPACED_CHARACTER.match(character) is not None


def is_free(start: int, end: int, spans: Spans) -> bool:
    """Whether no protected span has characters in ``[start, end)``."""
    edit = Edit(start, end, "")
    return not any(touches(edit, span) for span in spans)


def share(rate: float, count: int) -> int:
    """How many of `count` words are to be changed: their share, at least one."""
    return max(1, round(rate * count))


def draws(random: RowRandom, counts: Sequence[int]) -> list[list[float]]:
    """Give at least ``counts[i]`` numbers in [0, 1) for row i; they depend on the row and its count only."""
    width = min(max(counts, default=0), _MOST_SHARED_DRAWS)
    shared: list[list[float]] = random.uniform(width).tolist()
    for row, count in enumerate(counts):
        if count > _MOST_SHARED_DRAWS:
            shared[row] = random.generator(row).random(count).tolist()
    return shared


def chosen(count: int, numbers: Sequence[float]) -> list[int]:
    """Choose ``len(numbers)`` different ones of ``range(count)`` in random order (Fisher and Yates, cut short)."""
    pool = list(range(count))
    for place, number in enumerate(numbers):
        other = place + int(number * (count - place))
        pool[place], pool[other] = pool[other], pool[place]
    return pool[: len(numbers)]
