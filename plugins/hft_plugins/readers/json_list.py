"""The elements of a JSON list, one after the other, so that a file of any size takes the memory of one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_LONGEST = 1 << 28
"""Characters of an element at most."""
LONE_BYTES = re.compile("[\udc80-\udcff]")
"""What the error handler `surrogateescape` makes of bytes that cannot be decoded."""
_SIGN = re.compile(r'"(?:[^"\\\n]|\\[^\n])*(?:"|(\\?\Z))|[\[\]{},]')  # a string that the end cuts off has a group 1
_LIST = re.compile(r"\s*\[")


class Element(NamedTuple):
    """One element of a list."""

    line: int
    """The line that it begins in, counted from 1."""
    text: str
    whole: bool = True
    """False for the rest of a list that is not closed, or closed too early."""


def elements(chunks: Iterable[str], opening: re.Pattern[str] = _LIST) -> Iterator[Element] | None:
    """Give the elements of a list as they stand in the text, without parsing them; None where there is no list.

    Args:
        chunks: the text, in pieces of any size.
        opening: what stands before the first element; looked for in the first piece. By default the list is all there is, and
            what follows it comes out as an element that is not whole.
    """
    rest = iter(chunks)
    first = next(rest, "")
    begin = opening.match(first)
    return None if begin is None else _elements(first, begin.end(), rest, opening is _LIST)


def _elements(text: str, start: int, chunks: Iterator[str], alone: bool) -> Iterator[Element]:
    """Give the elements from `start` on; signs within strings do not count."""
    line = 1 + text.count("\n", 0, start)
    depth, at = 0, start
    while True:
        for match in _SIGN.finditer(text, at):
            if match[1] is not None:
                at = match.start()
                break
            sign, at = match[0], match.end()
            if sign in "[{":
                depth += 1
            elif sign in "]}" and depth:
                depth -= 1
            elif depth == 0 and sign in ",]":
                own = text[start : match.start()]
                if own.strip() or sign == ",":
                    yield Element(line + own[: len(own) - len(own.lstrip())].count("\n"), own.strip())
                line += own.count("\n")
                start = at
                if sign == "]":
                    rest = (text[at:] + next(chunks, "")).strip() if alone else ""
                    if rest:
                        yield Element(line, rest, whole=False)
                    return
        else:
            at = len(text)
        # A string that the piece cuts is looked at again with the next one.
        text, at, start = text[start:], at - start, 0
        more = next(chunks, "")
        if not more or len(text) > _LONGEST:
            yield Element(line + text[: len(text) - len(text.lstrip())].count("\n"), text.strip(), whole=False)
            return
        text += more
