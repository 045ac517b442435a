"""Batches of similar length that are not too large: little padding, and buffers that stay in the processor's caches."""

from __future__ import annotations

from numpy.typing import NDArray

TOKENS = 2048
"""Tokens of a batch on a CPU, padding included: more at once are no quicker, and where a few rows are long among many short
ones, cost padding (measured in docs/benchmarks.md)."""


def cuts(lengths: NDArray, rows: int, tokens: int | None) -> list[slice]:  # type: ignore[type-arg]  # whole numbers of any width
    """Cut entries, whose `lengths` ascend, into batches of at most so many rows and so many tokens, padding included.

    A batch has at least one row; with `tokens` None only rows count. The longest entries fill their batches first.
    """
    found: list[slice] = []
    end = len(lengths)
    while end:
        fitting = rows if tokens is None else min(rows, tokens // max(1, int(lengths[end - 1])))
        start = max(0, end - max(1, fitting))
        found.append(slice(start, end))
        end = start
    return found[::-1]
