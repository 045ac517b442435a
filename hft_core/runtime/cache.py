"""What a graph with a cache hands from one call to the next, in the form of whatever runs the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAST = "past_key_values."
"""What the names of a cache's inputs begin with."""
PRESENT = "present."
"""What the names of a cache's outputs begin with."""


class Cache:
    """The keys and values of the tokens so far: arrays [batch, …] of numpy or torch, which nobody looks into."""

    def __init__(self, entries: Mapping[str, Any]):
        """`entries`: arrays by the names of the graph's inputs and outputs without their beginnings."""
        self._entries = dict(entries)

    def take(self, rows: NDArray[np.int64]) -> Cache:
        """Give the cache of the named rows, in that order; a row may be named twice."""
        return Cache({name: array[rows] for name, array in self._entries.items()})

    def with_new(self, entries: Mapping[str, Any]) -> Cache:
        """Give the cache with these entries in place of its own of the same names; the others stay as they are."""
        return Cache(self._entries | dict(entries))

    def inputs(self) -> dict[str, Any]:
        """Give the arrays under the names of the graph's inputs."""
        return {PAST + name: array for name, array in self._entries.items()}

    def outputs(self) -> dict[str, Any]:
        """Give the arrays under the names of the graph's outputs."""
        return {PRESENT + name: array for name, array in self._entries.items()}


def folded(outputs: Mapping[str, Any], before: Cache | None) -> dict[str, Any]:
    """Put the outputs that the next call takes, if there are any, into one `cache`.

    What went in with `before` and does not come out stays in it, such as the keys and values of a text that was read
    once and that each further token looks at.
    """
    present = {name.removeprefix(PRESENT): array for name, array in outputs.items() if name.startswith(PRESENT)}
    ordinary = {name: array for name, array in outputs.items() if not name.startswith(PRESENT)}
    return ordinary | ({"cache": (before or Cache({})).with_new(present)} if present else {})


def unfolded(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `folded`, for who compares a graph's outputs one by one: arrays of numpy under their own names."""
    cache = outputs.get("cache")
    ordinary = {name: array for name, array in outputs.items() if name != "cache"}
    return ordinary | ({name: np.asarray(array) for name, array in cache.outputs().items()} if cache else {})
