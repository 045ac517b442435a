"""Building HTML and SVG from Python values, escaped by construction: only `Markup` goes in as it is."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable

_VOID = frozenset({"meta", "img", "br"})


class Markup(str):
    """Text that is HTML or SVG already."""

    __slots__ = ()


Child = str | int | float | None
"""What may stand in an element: `Markup` goes in as it is, other values as escaped text, None not at all."""


def element(name: str, *children: Child, **attributes: str | int | float | None) -> Markup:
    """Give an element. Attribute names may end in `_` (class_); `_` inside becomes `-`; None leaves one out."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{pairs}>")
    return Markup(f"<{name}{pairs}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Markup:
    """Put children behind one another."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child)) for child in children if child is not None
        )
    )


def width_of(text: str) -> int:
    """Give the width of a text in half-width columns: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def shortened(text: str, columns: int) -> str:
    """Cut a text that is wider than `columns` half-width columns, with an ellipsis."""
    if width_of(text) <= columns:
        return text
    kept = ""
    for character in text:
        if width_of(kept + character) > columns - 1:
            break
        kept += character
    return kept.rstrip() + "…"
