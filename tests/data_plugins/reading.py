"""What tests of readers share."""

from __future__ import annotations

from typing import Any

from hft_core import Reader, Refusal, Rows


def read_all(reader: Reader) -> tuple[dict[str, list[Any]], list[int], list[Refusal]]:
    """All columns, places and refusals; every batch must have the same columns."""
    columns: dict[str, list[Any]] = {}
    places: list[int] = []
    refusals: list[Refusal] = []
    for part in reader.read():
        if isinstance(part, Refusal):
            refusals.append(part)
            continue
        assert isinstance(part, Rows)
        assert not columns or list(columns) == list(part.columns)
        for name, values in part.columns.items():
            assert len(values) == len(part.places)
            columns.setdefault(name, []).extend(values)
        places += part.places
    return columns, places, refusals
