"""Batches of at most so many rows and tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hft_core.runtime.batching import cuts


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 600), max_size=80), st.integers(1, 64), st.one_of(st.none(), st.integers(1, 4096)))
def test_every_entry_once_and_no_batch_too_large(lengths: list[int], rows: int, tokens: int | None) -> None:
    ordered = np.sort(np.array(lengths, np.int64))
    found = cuts(ordered, rows, tokens)
    assert [place for cut in found for place in range(len(lengths))[cut]] == [*range(len(lengths))]
    for cut in found:
        own = ordered[cut]
        assert 1 <= len(own) <= rows
        assert tokens is None or len(own) == 1 or len(own) * own[-1] <= tokens


@pytest.mark.parametrize(
    ("tokens", "sizes"),
    [(None, [8, 32]), (2048, [32, 8]), (100, [3, *[5] * 6, *[1] * 7])],
)
def test_long_entries_among_short_ones_cost_no_padding(tokens: int | None, sizes: list[int]) -> None:
    """33 short entries and 7 long ones: with a limit of tokens hardly any short one is padded."""
    lengths = np.array([20] * 33 + [256] * 7)
    assert [cut.stop - cut.start for cut in cuts(lengths, 32, tokens)] == sizes


def test_no_entries() -> None:
    assert cuts(np.array([], np.int64), 32, 2048) == []
