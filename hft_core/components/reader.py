"""Reader: files or databases to rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from hft_core.components.base import Component

Columns = dict[str, list[Any]]
"""A batch of rows by column; all lists are equally long. A text is a `str`, a missing value is None."""


@dataclass(frozen=True)
class Rows:
    """Rows that were read, in batches of a few thousand, with the place of each."""

    columns: Columns
    """The rows by column."""
    places: list[int]
    """The line (or record) number of each row, counted from 1."""


@dataclass(frozen=True)
class Refusal:
    """One record that could not become a row; it goes to the quarantine."""

    place: int
    """The line (or record) number, counted from 1."""
    reason: str
    """A short code, such as `invalid-utf8`; the ledger counts by it."""
    detail: str
    """One sentence for a person."""
    raw: bytes
    """The record as it stands in the file."""


class Reader(Component):
    """Base of readers. Every record of the source comes out once: in a row, or in a refusal."""

    kind: ClassVar[str] = "reader"

    @abstractmethod
    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches of rows, all with the same columns, and refusals.

        Raises DataError where nothing can be read at all (missing, empty or binary file).
        """
