"""Edits of text: the one way in which cleaners and augmenters change it.

An edit replaces ``text[start:end]`` by ``replacement``; offsets count characters of the text before
any edit. Because a change is told as edits, spans can be carried through it in both directions: tags
and answers stay right, and a prediction's offsets refer to the text that the user gave.
Standard library only: this runs at predict time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Edit(NamedTuple):
    """Replace ``text[start:end]`` by ``replacement``."""

    start: int
    end: int
    replacement: str


def checked(text: str, edits: Iterable[Edit]) -> list[Edit]:
    """Sort edits by position. Raises ValueError where they overlap or leave the text."""
    ordered = sorted(edits)
    position = 0
    for start, end, replacement in ordered:
        if not position <= start <= end <= len(text):
            why = "overlaps the one before" if start < position else f"leaves the text of {len(text)} characters"
            raise ValueError(f"edit ({start}, {end}, {replacement!r}) of {text[:40]!r} {why}")
        position = end
    return ordered


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Carry out `edits` (any order, not overlapping) on `text`."""
    pieces: list[str] = []
    position, size = 0, len(text)
    for start, end, replacement in edits:
        if not position <= start <= end <= size:
            return apply(text, checked(text, edits))  # they were in no order, or this raises
        pieces += (text[position:start], replacement)
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def touches(edit: Edit, span: tuple[int, int]) -> bool:
    """Whether an edit changes characters of a span (an insertion at its border does not)."""
    return edit.start < span[1] and edit.end > span[0]


class OffsetMap:
    """Maps positions between a text and what `edits` made of it."""

    def __init__(self, text: str, edits: Iterable[Edit]):
        self._before: list[tuple[int, int]] = []  # replaced stretches of the text before
        self._after: list[tuple[int, int]] = []  # what they became
        shift = 0
        for start, end, replacement in checked(text, edits):
            self._before.append((start, end))
            self._after.append((start + shift, start + shift + len(replacement)))
            shift += len(replacement) - (end - start)

    def forward(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of the text before to the text after; a border inside an edit goes to the edit's border."""
        return _mapped(start, end, self._before, self._after)

    def back(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of the text after to the text before."""
        return _mapped(start, end, self._after, self._before)


def _mapped(
    start: int, end: int, source: Sequence[tuple[int, int]], target: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Map a span, widened to whole edits: its start to the left border of an edit, its end to the right one."""
    if start == end:
        point = _position(start, source, target, left=True)
        return point, point
    return _position(start, source, target, left=True), _position(end, source, target, left=False)


def _position(position: int, source: Sequence[tuple[int, int]], target: Sequence[tuple[int, int]], left: bool) -> int:
    """Map one position; inside a stretch it goes to the stretch's left or right border."""
    # A span's start belongs to the character after it, its end to the character before it.
    index = bisect_right(source, (position, float("inf")) if left else (position - 1, float("inf"))) - 1
    if index < 0:
        return position
    start, end = source[index]
    if (position < end) if left else (start < position <= end):
        if left and position == start:
            return target[index][0]
        return target[index][0] if left else target[index][1]
    return position + target[index][1] - end
