"""Filter of rows by the length of their text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from hft_core import Columns, Roles, RowFilter, joined_texts


class LengthFilter(RowFilter):
    """Drops rows whose text is too short or too long (reasons `too-short`, `too-long`).

    The length is that of the text columns joined by a space, in characters, without whitespace at the ends.
    """

    type: Literal["length"]
    minimum: int = Field(default=1, ge=0)
    """Fewest characters of a row that stays."""
    maximum: int | None = Field(default=None, ge=1)
    """Most characters of a row that stays; by default there is no limit."""

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError(f"`maximum` ({self.maximum}) is below `minimum` ({self.minimum}): no row would stay")
        return self

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Give a reason or None for each row, batch by batch."""
        for batch in batches:
            yield list(map(self._reason, joined_texts(batch, roles)))

    def _reason(self, text: str) -> str | None:
        length = len(text.strip())
        if length < self.minimum:
            return "too-short"
        if self.maximum is not None and length > self.maximum:
            return "too-long"
        return None
