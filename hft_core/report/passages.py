"""Texts with marked stretches: colour and strength say how much one counts, the underline says in which direction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hft_core.report.content.sections import MarkContent, PassageContent
from hft_core.report.markup import Child, Markup, element, joined

_STEPS = 5
"""Strengths that are told apart; the style sheet has a colour for each."""


def passages(shown: Sequence[PassageContent]) -> Markup:
    """Give passages one below the other, behind a line that says how to read them."""
    key = element(
        "p",
        element("mark", "speaks for", class_="for s3"), ", ",
        element("mark", "speaks against", class_="against s3"),
        "; the stronger the colour, the more.",
        class_="muted",
    )  # fmt: skip
    return joined([key, *(_passage(one) for one in shown)])


def _passage(passage: PassageContent) -> Markup:
    caption = element("figcaption", passage["title"]) if passage["title"] else None
    return element("figure", caption, element("p", _marked(passage["text"], passage["marks"])), class_="passage")


def _marked(text: str, marks: Sequence[MarkContent]) -> Markup:
    children: list[Child] = []
    position = 0
    for mark in marks:
        children += [text[position : mark["start"]], _mark(text[mark["start"] : mark["end"]], mark["weight"])]
        position = mark["end"]
    return joined([*children, text[position:]])


def _mark(text: str, weight: float) -> Child:
    """A weight that is too small for a colour leaves the text as it is; the rest tells its number to whoever points at it."""
    step = min(math.floor(abs(weight) * (_STEPS + 1)), _STEPS)
    if not step:
        return text
    side = "for" if weight > 0 else "against"
    return element("mark", text, class_=f"{side} s{step}", title=f"{weight:+.2f}")
