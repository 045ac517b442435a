"""Reader: files or databases to rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from hft_core.components.base import Component, Settings

Columns = dict[str, list[Any]]
"""A batch of rows by column; all lists are equally long. A text is a `str`, a missing value is None."""


@dataclass(frozen=True)
class Rows:
    """Rows that were read, in batches of a few thousand, with the place of each."""

    columns: Columns
    """The rows by column."""
    places: list[int]
    """The line (or record) number of each row, counted from 1; of a source of several files, through all of them."""
    file: str | None = None
    """The file that they stand in, of a source that has several; default: the source's only one."""
    before: int = 0
    """What `places` count more than the numbers in that file."""


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
    file: str | None = None
    """The file that `place` counts in, of a source that has several; default: the source's only one."""


class LabelNames(Settings):
    """Names for labels that are numbers in the data."""

    column: str
    """The column with the numbers."""
    names: Path | list[str]
    """The names in the order of their numbers: a list, or a file with one a line."""
    first: Literal[0, 1] | None = None
    """The number of the first name. Default: found in the data: 0 where a 0 occurs, 1 where the number of names does."""


class Reader(Component):
    """Base of readers. Every record of the source comes out once: in a row, or in a refusal."""

    kind: ClassVar[str] = "reader"

    labels: LabelNames | None = None
    """Names for a column of numbers, such as `{column: class, names: classes.txt}`; a row with another value is bad."""
    bad_rows: float | None = Field(default=0.2, ge=0)
    """How many rows may be bad (quarantined) before the run stops: below 1 a share of the source, from 1 on a number; 0:
    none, null: any."""

    @field_validator("bad_rows")
    @classmethod
    def _whole_from_1_on(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and not value.is_integer():
            raise ValueError(f"{value:g} is neither a share, which is below 1, nor a number of rows")
        return value

    @abstractmethod
    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches of rows, all with the same columns, and refusals.

        Raises DataError where nothing can be read at all (missing, empty or binary file).
        """

    def label_names(self) -> list[LabelNames]:
        """Give names for columns of numbers: those of the recipe, unless the source brings names itself."""
        return [self.labels] if self.labels else []

    def hub_name(self) -> str | None:
        """Give the data set's name on the hub, for the model card; None for anything else."""
        return None

    def found(self) -> dict[str, str]:
        """Say what was found out about the source and not set, such as ``{"encoding": "gb18030"}``; the ledger keeps it."""
        return {}
