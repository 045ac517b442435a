"""Which rows a step sees: every row once an epoch, and a function of seed, epoch and shard only."""

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


def some(count: int, seed: int = 0, first: int = 0) -> dict[str, Any]:
    """A shard of rows numbered from `first` on."""
    lengths = np.random.default_rng(seed).integers(1, 30, count).tolist()
    return arrays(lengths, list(range(first, first + count)))


def several(*counts: int) -> list[dict[str, Any]]:
    return [some(count, seed, sum(counts[:seed])) for seed, count in enumerate(counts)]


def epoch_of(order: Order, epoch: int) -> list[tuple[int, list[int]]]:
    """Brute force: walk until the epoch is over; gives shard and entries of each batch."""
    found: list[tuple[int, list[int]]] = []
    index = 0
    while True:
        part = order.batch(index)
        if part.epoch == epoch:
            found.append((part.shard, part.entries.tolist()))
        if part.epoch > epoch:
            return found
        index += 1


def seen_in(order: Order, epoch: int) -> list[tuple[int, int]]:
    return sorted((shard, entry) for shard, entries in epoch_of(order, epoch) for entry in entries)


@pytest.mark.parametrize(("count", "batch"), [(1, 4), (7, 3), (64, 16), (65, 16), (1000, 1), (2345, 32)])
def test_every_epoch_sees_every_row_exactly_once(count: int, batch: int) -> None:
    order = Order([some(count)], batch, seed=3, stream=0)
    for epoch in (0, 1, 2):
        assert seen_in(order, epoch) == [(0, entry) for entry in range(count)]


@pytest.mark.parametrize("counts", [(5, 5), (64, 1, 30), (200, 3, 77, 150)])
def test_every_epoch_goes_once_through_every_shard(counts: tuple[int, ...]) -> None:
    order = Order(several(*counts), 8, seed=3, stream=0)
    walks = set()
    for epoch in range(8):
        assert seen_in(order, epoch) == [(s, entry) for s, count in enumerate(counts) for entry in range(count)]
        walk = [shard for shard, _ in epoch_of(order, epoch)]
        borders = [shard for at, shard in enumerate(walk) if at == 0 or walk[at - 1] != shard]
        assert sorted(borders) == list(range(len(counts)))  # one after the other, none twice
        walks.add(tuple(borders))
    assert len(walks) > 1


def test_a_shards_order_does_not_depend_on_the_others() -> None:
    shards = several(40, 60, 50)
    order, fewer = Order(shards, 8, 1, 0), Order([*shards[:2], some(9)], 8, 1, 0)
    for epoch in (0, 1):
        for shard in (0, 1):
            batches = [entries.tolist() for entries in order.batches(epoch, shard)]
            assert batches == [entries.tolist() for entries in fewer.batches(epoch, shard)]
    same = several(40)[0]
    twice = Order([same, same], 8, 1, 0)
    assert [b.tolist() for b in twice.batches(0, 0)] != [b.tolist() for b in twice.batches(0, 1)]


def test_only_one_shard_is_looked_at_to_go_on_in_its_middle() -> None:
    looked: list[int] = []

    class Watched(list[Any]):
        def __getitem__(self, number: Any) -> Any:
            looked.append(number)
            return super().__getitem__(number)

    order = Order(Watched(several(40, 60, 50, 80)), 8, 1, 0)
    assert looked == [0, 1, 2, 3]  # once each, to count
    looked.clear()
    wanted = [order.batch(index) for index in range(60)]
    assert len(looked) <= 2 * len(order.shards(0))  # two epochs: a shard is opened when it is its turn
    looked.clear()
    fresh = Order(Watched(several(40, 60, 50, 80)), 8, 1, 0)
    looked.clear()
    for index in (57, 58):
        part = fresh.batch(index)
        assert part[:2] == wanted[index][:2]
        assert part.entries.tolist() == wanted[index].entries.tolist()
    assert len(set(looked)) <= 1  # none where it was the last to be counted


def test_batches_are_full_except_the_last_ones_of_a_pool() -> None:
    order = Order([some(1000)], 16, seed=0, stream=0)
    sizes = sorted(len(entries) for _, entries in epoch_of(order, 0))
    assert sizes[1:] == [16] * (len(sizes) - 1)
    assert sizes[0] == 1000 % 16


def test_rows_of_a_batch_have_similar_lengths() -> None:
    data = some(1600)
    order = Order([data], 16, seed=0, stream=0)
    lengths = order.index(0).lengths
    spread = np.mean([np.ptp(lengths[entries]) for _, entries in epoch_of(order, 0)])
    assert spread < 5  # of 29 without sorting


def test_order_is_a_function_of_seed_stream_and_epoch() -> None:
    data = [some(100)]
    first = [epoch_of(Order(data, 8, 1, 0), epoch) for epoch in (0, 1)]
    jumped = Order(data, 8, 1, 0)
    middle = [jumped.batch(index) for index in range(20, 26)]  # straight there
    assert [(part.shard, part.entries.tolist()) for part in middle] == first[1][7:13]
    assert first[0] != first[1]
    assert epoch_of(Order(data, 8, 2, 0), 0) != first[0]
    assert epoch_of(Order(data, 8, 1, 1), 0) != first[0]


def test_order_does_not_touch_the_global_random_state() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # the legacy form is a tuple
    Order([some(50)], 8, 1, 0).batch(0)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]  # as above


def test_epoch_e_uses_variant_e_modulo_copies_plus_one_or_the_original() -> None:
    # Row 0 has variants 1 and 2, row 1 only 1, row 2 none, row 3 only 2.
    rows, variants = [0, 1, 2, 3, 0, 1, 0, 3], [0, 0, 0, 0, 1, 1, 2, 2]
    order = Order([arrays([3] * 8, rows, variants)], 2, seed=0, stream=0)
    expected = [[0, 1, 2, 3], [2, 3, 4, 5], [1, 2, 6, 7]]
    for epoch in range(7):
        seen = [entry for _, entry in seen_in(order, epoch)]
        assert seen == expected[epoch % 3], epoch
        assert sorted(np.array(rows)[seen].tolist()) == [0, 1, 2, 3]  # never two variants of a row


def test_windows_of_a_row_stay_together() -> None:
    # Row 0 has two windows; its variant has three.
    order = Order([arrays([4] * 6, [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1])], 4, seed=0, stream=0)
    assert [entry for _, entry in seen_in(order, 0)] == [0, 1, 2]
    assert [entry for _, entry in seen_in(order, 1)] == [2, 3, 4, 5]


def test_a_shard_without_variants_gives_its_originals() -> None:
    with_variant = arrays([4] * 5, [0, 1, 2, 0, 1], [0, 0, 0, 1, 1])
    order = Order([with_variant, some(3, first=3)], 2, seed=0, stream=0)
    originals = [(1, 0), (1, 1), (1, 2)]
    assert seen_in(order, 0) == [(0, 0), (0, 1), (0, 2), *originals]
    assert seen_in(order, 1) == [(0, 2), (0, 3), (0, 4), *originals]


@pytest.mark.parametrize("trial", range(25))
def test_steps_place_and_last_of_epoch_agree_with_a_walk(trial: int) -> None:
    random = np.random.default_rng(trial)
    batch, copies = int(random.integers(1, 20)), int(random.integers(0, 4))
    shards = []
    for _ in range(int(random.integers(1, 4))):
        count = int(random.integers(1, 60))
        rows, variants = list(range(count)), [0] * count
        for copy in range(1, copies + 1):
            own = [row for row in range(count) if random.random() < 0.7]
            rows += own
            variants += [copy] * len(own)
        shards.append(arrays(random.integers(1, 9, len(rows)).tolist(), rows, variants))
    order = Order(shards, batch, 0, 0)

    epochs = 2 * (copies + 1) + 1
    per_epoch = [sum(len(order.batches(epoch, shard)) for shard in range(len(shards))) for epoch in range(epochs + 1)]
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


def held(shard: dict[str, Any], total: int | None = None) -> list[bool]:
    flags: list[bool] = held_out(shard["row"], total).tolist()
    return flags


def test_held_out_rows_depend_on_their_number_only() -> None:
    chosen = held(some(3000))
    assert sum(chosen) == 200  # more than 1 %, under a tenth
    assert held(some(3000, seed=5)) == chosen
    assert held(some(3000, first=3000)) != chosen
    assert sum(held(some(500))) == 50
    assert sum(held(some(9))) == 0
    windows = held(arrays([3] * 40, [row // 2 for row in range(40)]))
    assert sum(windows) == 4  # two of twenty rows, with both windows each
    assert windows[::2] == windows[1::2]


def test_held_out_rows_are_one_in_a_hundred_of_every_shard() -> None:
    assert sum(held(some(30_000), total=1_500_000)) == 300  # 1 % of each
    assert [sum(held(some(rows), total=3005)) for rows in (1000, 5)] == [67, 0]  # 200 over all, as far as a tenth goes
    assert sum(held(some(1000), total=1500)) == 100


def test_held_out_rows_are_never_trained_on() -> None:
    shards = several(400, 30, 1000)
    order = Order(shards, 8, 0, 0, holds_out=True)
    kept = {(s, entry) for s in range(3) for entry in np.flatnonzero(order.index(s).held).tolist()}
    assert {shard for shard, _ in kept} == {0, 1, 2}
    every = {(s, entry) for s, shard in enumerate(shards) for entry in range(len(shard["row"]))}
    for epoch in range(3):
        assert set(seen_in(order, epoch)) == every - kept
        assert len(seen_in(order, epoch)) == len(every - kept)


def test_the_widest_shard_is_that_of_the_largest_padded_batch() -> None:
    order = Order([arrays([9, 1, 1]), arrays([7] * 8), arrays([50])], 4, 0, 0)
    assert order.widest == 2
    assert Order([arrays([9, 1, 1]), arrays([7] * 8), arrays([20])], 4, 0, 0).widest == 1
    assert order.index(1).longest(3).tolist() == [5, 6, 7]
