"""What the filters of rows share: where batches lie among all rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def slices(sizes: Iterable[int]) -> Iterator[slice]:
    """Give where the rows of each batch lie among all rows."""
    start = 0
    for size in sizes:
        yield slice(start, start + size)
        start += size
