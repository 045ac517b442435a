"""Where an answer stands in its context; for the reader `squad` and the task `question-answering`."""

from __future__ import annotations

_MARKS = " \t\n.,;:!?。，、；：！？"
"""What an answer may have at its borders that its context does not have there."""


def found_again(context: str, text: str, place: int) -> tuple[int, str] | None:
    """Where an answer stands that is not at `place`: the nearest place, and what stands there, perhaps without marks.

    None where it stands nowhere.
    """
    for words in (text, text.strip(_MARKS)):
        at = nearest(context, words, place) if words else None
        if at is not None:
            return at, words
    return None


def nearest(context: str, text: str, place: int) -> int | None:
    """The occurrence of `text` that begins nearest to `place`, the first of two as near; None where there is none."""
    found: list[int] = []
    at = context.find(text)
    while at >= 0:
        found.append(at)
        if at >= place:  # all others are farther away
            break
        at = context.find(text, at + 1)
    return min(found, key=lambda at: abs(at - place), default=None)


def misplaced(context: str, text: str, place: int) -> str:
    """Say in words what stands where `text` should begin, and where it does."""
    there = context[max(0, place) : max(0, place + len(text))]
    first = context.find(text)
    real = f"it begins at {first}" if first >= 0 else "it is nowhere in the context"
    return f"at {place} stands {there[:60]!r}, not {text[:60]!r}; {real}"
