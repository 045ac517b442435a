"""Variants that are made anew in every epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from hft_core import Columns, Ragged, Roles, Training
from hft_core.data.augmentation import begun, with_variants
from hft_core.data.ledger import Ledger
from hft_core.data.table import ROW, VARIANT, write_table
from hft_core.runtime.ragged import Arrays, take
from hft_core.training.fresh import Fresh
from hft_plugins.augmenters.random_swap import RandomSwap

ROLES = Roles(text=("text",))
ROWS = 40


class Characters:
    """Encodes a text as the numbers of its characters; `windows` cuts it."""

    def __init__(self, windows: int = 1000):
        self.windows = windows

    def encode(self, columns: Columns, stream: Any) -> Arrays:
        entries, rows = [], []
        for row, text in enumerate(columns["text"]):
            for start in range(0, len(text), self.windows):
                entries.append([ord(letter) for letter in text[start : start + self.windows]])
                rows.append(row)
        return {"input_ids": Ragged.from_rows(entries), "row": np.array(rows, np.int64)}


def text_of(arrays: Arrays, entry: int) -> str:
    return "".join(map(chr, cast(Ragged, arrays["input_ids"])[entry]))


@pytest.fixture
def rows() -> Columns:
    return {
        "text": [f"green apples taste fresh today {row} 好吃外卖" for row in range(ROWS)],
        ROW: list(range(1, ROWS + 1)),
    }


def made(tmp_path: Path, rows: Columns, objective: Characters) -> tuple[Fresh, Arrays, list[str]]:
    """What makes variants, the stored arrays with one copy, and all stored texts."""
    write_table(tmp_path / "train.arrow", [rows | {VARIANT: [0] * ROWS}])
    swap = RandomSwap(type="random-swap", rate=0.5, fresh=True)
    fresh = Fresh(
        tmp_path / "train.arrow", begun([swap], Training(roles=ROLES)), ROLES, 7, cast(Any, objective), cast(Any, None)
    )
    stored: Columns = {name: [] for name in ("text", ROW, VARIANT)}
    for batch in with_variants([rows], [swap], ROLES, 7, Ledger()):
        for name, values in stored.items():
            values += batch[name]
    arrays = objective.encode(stored, None)
    position = np.asarray(arrays["row"])
    arrays["row"], arrays["variant"] = np.array(stored[ROW])[position], np.array(stored[VARIANT])[position]
    return fresh, arrays, stored["text"]


def test_an_epochs_variants_are_new_and_a_function_of_epoch_and_row(tmp_path: Path, rows: Columns) -> None:
    fresh, arrays, stored = made(tmp_path, rows, Characters())
    alone = np.ones(len(stored), np.bool_)
    assert len(stored) == 2 * ROWS
    second, third = (fresh.remade(arrays, epoch, alone) for epoch in (3, 5))
    assert [text_of(second, entry) for entry in range(ROWS)] == stored[:ROWS]  # originals stay
    variants = [{text_of(found, entry) for entry in range(ROWS, 2 * ROWS)} for found in (arrays, second, third)]
    assert all(len(one & other) < ROWS / 2 for one, other in zip(variants, [*variants[1:], variants[0]], strict=True))
    order = np.random.default_rng(0).permutation(2 * ROWS)
    for part in np.array_split(order, 5):  # whatever the batch
        again = fresh.remade(take(arrays, part), 3, alone[part])
        assert [text_of(again, at) for at in range(len(part))] == [text_of(second, entry) for entry in part]
    assert all(
        sorted(text_of(second, entry)) == sorted(stored[entry]) for entry in range(2 * ROWS)
    )  # a swap of the same row's words


def test_rows_in_several_windows_keep_their_stored_variants(tmp_path: Path, rows: Columns) -> None:
    fresh, arrays, _ = made(tmp_path, rows, Characters(windows=8))
    alone = np.zeros(len(np.asarray(arrays["row"])), np.bool_)
    same = fresh.remade(arrays, 9, alone)
    assert (cast(Ragged, same["input_ids"]).values == cast(Ragged, arrays["input_ids"]).values).all()
