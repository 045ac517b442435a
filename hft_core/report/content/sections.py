"""What exporters and other parts add. A part of `content`."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class MarkContent(TypedDict):
    """A stretch of a passage, in characters of its text."""

    start: int
    end: int
    weight: float
    """-1 (speaks against) to 1 (speaks for)."""


class PassageContent(TypedDict):
    """A text with marks."""

    text: str
    marks: list[MarkContent]
    """In order, not overlapping."""
    title: str


class SectionContent(TypedDict):
    """What an exporter (or another part) adds."""

    title: str
    text: str
    table: list[dict[str, Any]]
    """Rows with the same keys, which are the column heads."""
    svg: str
    """A whole SVG image, or an empty string."""
    passages: NotRequired[list[PassageContent]]
    data: dict[str, Any]
    """The same for machines; not shown."""
