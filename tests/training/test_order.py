"""Which rows a step sees: every row once an epoch, and a function of seed and epoch only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hft_core.runtime.ragged import Ragged
from hft_core.training.order import Order, held_out


def arrays(lengths: list[int], rows: list[int] | None = None, variants: list[int] | None = None) -> dict[str, Any]:
    return {
        "input_ids": Ragged.from_rows([[1] * length for length in lengths]),
        "row": np.array(rows if rows is not None else range(len(lengths)), np.int64),
        "variant": np.array(variants if variants is not None else [0] * len(lengths), np.int64),
    }


def some(count: int, seed: int = 0) -> dict[str, Any]:
    return arrays(np.random.default_rng(seed).integers(1, 30, count).tolist())


def epoch_of(order: Order, epoch: int) -> list[list[int]]:
    """Brute force: walk until the epoch is over."""
    found: list[list[int]] = []
    index = 0
    while True:
        at, entries = order.batch(index)
        if at == epoch:
            found.append(entries.tolist())
        if at > epoch:
            return found
        index += 1


@pytest.mark.parametrize(("count", "batch"), [(1, 4), (7, 3), (64, 16), (65, 16), (1000, 1), (2345, 32)])
def test_every_epoch_sees_every_row_exactly_once(count: int, batch: int) -> None:
    order = Order(some(count), batch, seed=3, stream=0)
    for epoch in (0, 1, 2):
        seen = [entry for entries in epoch_of(order, epoch) for entry in entries]
        assert sorted(seen) == list(range(count))


def test_batches_are_full_except_the_last_ones_of_a_pool() -> None:
    order = Order(some(1000), 16, seed=0, stream=0)
    sizes = sorted(len(entries) for entries in epoch_of(order, 0))
    assert sizes[1:] == [16] * (len(sizes) - 1)
    assert sizes[0] == 1000 % 16


def test_rows_of_a_batch_have_similar_lengths() -> None:
    data = some(1600)
    order = Order(data, 16, seed=0, stream=0)
    lengths = order.lengths
    spread = np.mean([np.ptp(lengths[entries]) for entries in epoch_of(order, 0)])
    assert spread < 5  # of 29 without sorting


def test_order_is_a_function_of_seed_stream_and_epoch() -> None:
    data = some(100)
    first = [epoch_of(Order(data, 8, 1, 0), epoch) for epoch in (0, 1)]
    jumped = Order(data, 8, 1, 0)
    assert [jumped.batch(index)[1].tolist() for index in range(20, 26)] == first[1][7:13]  # straight to the middle
    assert first[0] != first[1]
    assert epoch_of(Order(data, 8, 2, 0), 0) != first[0]
    assert epoch_of(Order(data, 8, 1, 1), 0) != first[0]


def test_order_does_not_touch_the_global_random_state() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # the legacy form is a tuple
    Order(some(50), 8, 1, 0).batch(0)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]  # as above


def test_epoch_e_uses_variant_e_modulo_copies_plus_one_or_the_original() -> None:
    # Row 0 has variants 1 and 2, row 1 only 1, row 2 none, row 3 only 2.
    rows, variants = [0, 1, 2, 3, 0, 1, 0, 3], [0, 0, 0, 0, 1, 1, 2, 2]
    order = Order(arrays([3] * 8, rows, variants), 2, seed=0, stream=0)
    expected = [[0, 1, 2, 3], [2, 3, 4, 5], [1, 2, 6, 7]]
    for epoch in range(7):
        assert order.entries(epoch).tolist() == expected[epoch % 3], epoch
        seen = [entry for entries in epoch_of(order, epoch) for entry in entries]
        assert sorted(seen) == expected[epoch % 3]
        assert sorted(np.array(rows)[seen].tolist()) == [0, 1, 2, 3]  # never two variants of a row


def test_windows_of_a_row_stay_together() -> None:
    # Row 0 has two windows; its variant has three.
    order = Order(arrays([4] * 6, [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]), 4, seed=0, stream=0)
    assert order.entries(0).tolist() == [0, 1, 2]
    assert order.entries(1).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("trial", range(25))
def test_steps_place_and_last_of_epoch_agree_with_a_walk(trial: int) -> None:
    random = np.random.default_rng(trial)
    count, batch, copies = int(random.integers(1, 60)), int(random.integers(1, 20)), int(random.integers(0, 4))
    rows = list(range(count))
    variants = [0] * count
    for copy in range(1, copies + 1):
        own = [row for row in range(count) if random.random() < 0.7]
        rows += own
        variants += [copy] * len(own)
    order = Order(arrays(random.integers(1, 9, len(rows)).tolist(), rows, variants), batch, 0, 0)

    epochs = 2 * (copies + 1) + 1
    per_epoch = [-(-len(order.entries(epoch)) // batch) for epoch in range(epochs + 1)]
    places = [(epoch, position) for epoch, size in enumerate(per_epoch) for position in range(size)]
    for index, place in enumerate(places):
        assert order.place(index) == place
        assert order.last_of_epoch(index) == (place[1] == per_epoch[place[0]] - 1)
    for whole in range(epochs):
        assert order.steps(whole) == max(1, sum(per_epoch[:whole]))
        share = float(random.random())
        expected = max(1, sum(per_epoch[:whole]) + round(share * per_epoch[whole]))
        assert abs(order.steps(whole + share) - expected) <= 1  # (whole + share) - whole is share but for rounding
    assert order.steps(1e-9) == 1


def test_held_out_rows_depend_on_their_number_only() -> None:
    data = some(3000)
    chosen = np.flatnonzero(held_out(data))
    assert len(chosen) == 200  # more than 1 %, under a tenth
    assert np.flatnonzero(held_out(some(3000, seed=5))).tolist() == chosen.tolist()
    assert held_out(some(500)).sum() == 50
    assert held_out(some(9)).sum() == 0
    windows = arrays([3] * 40, [row // 2 for row in range(40)])
    flags = held_out(windows)
    assert flags.sum() == 4  # two of twenty rows, with both windows each
    assert (flags[::2] == flags[1::2]).all()
