"""Where the tokens of a model's input stand in the texts that the user gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hft_core import Arrays, Ragged, TextEncoder
from hft_core.runtime.cleaning import Trail

Ids = NDArray[np.integer]
_NOWHERE = (-1, 0, 0)


@dataclass(frozen=True)
class Text:
    """One text of a row."""

    column: str
    """Where it comes from."""
    cleaned: str
    """As the model reads it."""
    trail: Trail
    """The way back to what the user gave."""


@dataclass(frozen=True)
class Piece:
    """Characters of a text of the user's, with the tokens that stand for them."""

    text: int
    """Number of the text in its row."""
    start: int
    end: int
    tokens: tuple[int, ...]
    """Places of the tokens in the model's input; several where one character takes several, or a cleaner changed it."""


def pieces(arrays: Arrays, entry: int, texts: Sequence[Text], preprocessor: TextEncoder) -> list[Piece]:
    """Find the characters of each token of one entry of the model's input, in the order of texts and characters.

    Special tokens, and those that are found in no text, are in no piece. A task that works with characters has `offsets`
    into its first text in its arrays; other texts are found by their tokens, of which there may be fewer than the text has
    where it was cut.
    """
    ids = _row(arrays["input_ids"], entry)
    places = [_NOWHERE] * len(ids)
    first = 0
    if "offsets" in arrays:
        for token, (start, end) in enumerate(_row(arrays["offsets"], entry).tolist()):
            if end > start:
                places[token] = (0, start, end)
        first = 1
    behind = 0
    for number, text in enumerate(texts[first:], first):
        own, offsets = _tokens(text.cleaned, preprocessor)
        begin, count = _longest(ids, own, [place == _NOWHERE for place in places], behind)
        for token in range(count):
            places[begin + token] = (number, *offsets[token])
        behind = begin + count
    return _merged(places, texts)


def _row(array: NDArray[np.generic] | Ragged, entry: int) -> Ids:
    found: Ids = array[entry]
    return found


def _tokens(text: str, preprocessor: TextEncoder) -> tuple[Ids, list[tuple[int, int]]]:
    """All tokens of a text that stand for characters, with these."""
    windows = preprocessor.windows([text], offsets=True)
    ids, offsets = windows["input_ids"], windows["offsets"]
    assert isinstance(ids, Ragged)
    assert isinstance(offsets, Ragged)
    own = offsets.values[:, 1] > offsets.values[:, 0]
    return ids.values[own], [(int(start), int(end)) for start, end in offsets.values[own]]


def _longest(ids: Ids, own: Ids, free: Sequence[bool], behind: int) -> tuple[int, int]:
    """Find where most of the first tokens of `own` stand one after the other: place and number. The first such place."""
    best = (behind, 0)
    for begin in range(behind, len(ids)):
        count = 0
        while (
            count < len(own) and begin + count < len(ids) and free[begin + count] and ids[begin + count] == own[count]
        ):
            count += 1
        if count > best[1]:
            best = (begin, count)
    return best


def _merged(places: Sequence[tuple[int, int, int]], texts: Sequence[Text]) -> list[Piece]:
    """Give the pieces in the user's texts; those that share a character become one."""
    found = []
    for token, (number, start, end) in enumerate(places):
        if number >= 0:
            begin, behind = texts[number].trail.back(start, end)
            if behind > begin:
                found.append(Piece(number, begin, behind, (token,)))
    merged: list[Piece] = []
    for piece in sorted(found, key=lambda one: (one.text, one.start, one.end)):
        last = merged[-1] if merged else None
        if last and last.text == piece.text and piece.start < last.end:
            merged[-1] = Piece(last.text, last.start, max(last.end, piece.end), last.tokens + piece.tokens)
        else:
            merged.append(piece)
    return merged
