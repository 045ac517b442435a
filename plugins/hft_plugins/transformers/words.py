"""Words as masked language modelling hides them: which one each token belongs to, and one draw for each."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core import Arrays, Columns, Ragged, Stream
from hft_core.runtime.ragged import concatenated
from hft_plugins.transformers.lm import texts_of, windows

_AT_ONCE = 1000
"""Rows that are looked at together: what is noted of each character takes many times the memory of the text."""
_SPACE, _JOINED, _ALONE = 0, 1, 2
"""Characters between words, those that make a word with their neighbours, and those that are one each."""
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""What the Unicode names of characters begin with whose scripts have no spaces between words."""


def with_words(columns: Columns, stream: Stream, spaces: bool) -> Arrays:
    """Give `windows` and `words`: ragged int32, for each token the number of its word in the window, from 0 on.

    Pieces of one word have one number, whichever tokenizer made them: its offsets say where they begin, and the
    characters there where words do. Special tokens go along with a neighbour.
    """
    rows = len(columns[stream.roles.text[0]])
    parts = []
    for start in range(0, max(1, rows), _AT_ONCE):
        some = {name: columns[name][start : start + _AT_ONCE] for name in stream.roles.text}
        part = _with_words(some, stream, spaces)
        parts.append(part | {"row": np.asarray(part["row"]) + start})
    return concatenated(parts)


def _with_words(columns: Columns, stream: Stream, spaces: bool) -> Arrays:
    arrays = windows(columns, stream, offsets=True, texts=True)
    spans = arrays.pop("offsets")
    ids, entry_texts = arrays["input_ids"], arrays.pop("text")
    assert isinstance(ids, Ragged)
    assert isinstance(spans, Ragged)
    starts, numbers = _word_starts(texts_of(columns, stream), spaces)
    text = np.repeat(np.asarray(entry_texts), ids.lengths)
    first, last = spans.values[:, 0].astype(np.int64), spans.values[:, 1].astype(np.int64)
    # A token may begin behind its text's last character: an end that stands for nothing.
    word = numbers[np.minimum(starts[text] + first, starts[text + 1] - 1)]
    begins = np.ones(len(word), bool)
    # A piece of bytes can end within a character, where the next one goes on.
    begins[1:] = (word[1:] != word[:-1]) & (first[1:] >= last[:-1])
    begins[ids.offsets[:-1]] = True
    count = np.cumsum(begins) - 1
    own = count - np.repeat(count[ids.offsets[:-1]], ids.lengths)
    return arrays | {"words": Ragged(own.astype(np.int32), ids.offsets)}


def by_word(draws: NDArray[np.float64], words: Any, stream: Stream) -> NDArray[np.float64]:
    """Give each token the draw of its word: `draws` [rows, width], of which the n-th of a row is its n-th word's."""
    numbers = words.padded(0, side=stream.preprocessor.settings()["padding_side"], dtype=np.int64)
    return np.take_along_axis(draws, numbers, axis=1)


def _word_starts(texts: Sequence[str], spaces: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give where each text begins among all characters (and where the last ends), and the word of each character.

    A character between words, and the one behind each text, counts to the word that follows.
    """
    whole = "".join(f"{text}\n" for text in texts)
    codes = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), np.uint32)
    distinct, where = np.unique(codes, return_inverse=True)
    kinds = np.array([_kind(chr(code), spaces) for code in distinct], np.int8)[where]
    before = np.append(_SPACE, kinds[:-1])
    begins = (kinds == _ALONE) | ((kinds == _JOINED) & (before != _JOINED))
    numbers = np.cumsum(begins) + (kinds == _SPACE)
    ends = np.cumsum([len(text) + 1 for text in texts])
    return np.append(0, ends).astype(np.int64), numbers.astype(np.int64)


def _kind(character: str, spaces: bool) -> int:
    if character.isspace():
        return _SPACE
    if spaces:
        return _JOINED
    if unicodedata.name(character, "").startswith(_WITHOUT_SPACES):
        return _ALONE
    return _JOINED if unicodedata.category(character)[0] in "LNM" else _ALONE
