"""Filter of headers among the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from hft_core import Columns, Roles, RowFilter


class HeaderRowFilter(RowFilter):
    """Drops rows that repeat the header (reason `header-as-row`), as files do that were put behind one another.

    In such a row every text, and the target where it is a text, is the name of its column, whatever the case.
    """

    type: Literal["header-rows"]

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Give a reason or None for each row, batch by batch."""
        for batch in batches:
            names = [*roles.text, *(name for name in roles.target if name in batch)]
            rows = zip(*(batch[name] for name in names), strict=True)
            yield ["header-as-row" if all(map(_is_name, names, row)) else None for row in rows]


def _is_name(name: str, value: object) -> bool:
    return value == [] or (isinstance(value, str) and value.strip().casefold() == name.strip().casefold())
