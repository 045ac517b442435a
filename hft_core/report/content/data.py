"""What became of the data: the ledger, and what was found in it. A part of `content`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Dropped(TypedDict):
    """Rows that one cleaner dropped for one reason."""

    component: str
    reason: str
    rows: int


class EditExample(TypedDict):
    """A text before and after one cleaner or augmenter."""

    component: str
    before: str
    after: str
    """Empty where the cleaner dropped the row."""


class Source(TypedDict):
    """The ledger of one split or unlabelled source: read = kept + quarantined + dropped."""

    name: str
    """`train`, `validation`, `test`, `corpus`, …"""
    found: dict[str, str]
    """What the reader found out about the source, such as its encoding."""
    read: int
    kept: int
    quarantined: dict[str, int]
    """Rows that could not be used, by reason."""
    dropped: list[Dropped]
    touched: dict[str, int]
    """Rows that a text cleaner changed, by cleaner; they are kept."""
    made: dict[str, int]
    """Derived rows, by what made them (augmenter, windows, pseudo-labels); not part of `read`."""
    unknown_rate: float | None
    """Share of the tokens that the vocabulary lacks, 0 to 1."""
    survey: NotRequired[dict[str, Any]]
    """What the rows look like, see `hft_core.data.survey.Survey`; absent for unlabelled text."""
    edits: list[EditExample]
    """A few examples of what cleaners changed or dropped, and of variants."""


class Check(TypedDict):
    """One finding about the data: leakage, label conflicts, duplicates, class balance, odd rows."""

    severity: Literal["ok", "info", "warning", "error"]
    title: str
    detail: str
    code: NotRequired[str]
    """A word for machines, such as `leakage`, `repeats`, `label-conflicts` or the reason of refused rows."""
    rows: NotRequired[int]
    """How many rows (of `label-conflicts`: texts) it is about."""
    examples: NotRequired[list[str]]
    """A few of the rows, each `line N: text`."""
