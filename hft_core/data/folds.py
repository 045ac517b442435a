"""Cross-validation: training and validation rows together, one fold of which is held out, copies of a text in the same one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Columns, Roles, Task
from hft_core.data.ledger import Ledger
from hft_core.data.splitting import Strata, assign, strata_of
from hft_core.data.table import ROW, only, read_table, write_table
from hft_core.errors import DataError

SECOND = 1 << 39
"""Added to the row numbers of the validation source where rows are put together: those of the two must not meet."""


@dataclass(frozen=True)
class Fold:
    """Which part of the rows is held out: part `number`, from 0, of `count`."""

    number: int
    count: int


def hold_out(out: Path, task: Task, roles: Roles, ledgers: dict[str, Ledger], fold: Fold, second: bool) -> None:
    """Put raw-train.arrow and raw-validation.arrow together, and part them anew: the fold is raw-validation.arrow.

    A class whose rows are all in the fold stays in training, where it can be learned. What was set aside for the test stays
    out of both. `second` says that validation is a source of its own, with row numbers of its own.
    """
    raw, aside, pool = (out / f"{name}.arrow" for name in ("raw-train", "raw-validation", "pool"))
    write_table(pool, _together(raw, aside, SECOND if second else 0))
    chosen = _held_out(pool, roles, fold, strata_of(task, lambda: read_table(pool)))
    ledgers.clear()
    ledgers["train"] = Ledger(read=write_table(raw, only(pool, ~chosen)))
    ledgers["validation"] = Ledger(read=write_table(aside, only(pool, chosen)))
    (out / "raw-test.arrow").unlink(missing_ok=True)
    pool.unlink()
    if not ledgers["validation"].read:
        raise DataError(
            f"data.train: too few rows for {fold.count} folds (copies of a text stay together); add rows, or lower "
            "`evaluate.seeds`"
        )


def _held_out(pool: Path, roles: Roles, fold: Fold, strata: Strata | None) -> NDArray[np.bool_]:
    shares = {str(number): 1 / fold.count for number in range(1, fold.count)}
    chosen: NDArray[np.bool_] = assign(read_table(pool), roles, shares, strata) == fold.number
    if strata:
        labels = np.array([label for columns in read_table(pool) for label in strata(columns)], object)
        known = set(labels[~chosen].tolist())
        chosen &= np.array([label in known for label in labels.tolist()], np.bool_)
    return chosen


def _together(train: Path, validation: Path, offset: int) -> Iterator[Columns]:
    yield from read_table(train)
    for columns in read_table(validation):
        yield columns | {ROW: [row + offset for row in columns[ROW]]}
