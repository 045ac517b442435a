"""A recipe that learns nothing in seconds, for its rate is too low."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LR = "stages.0.optimizer.lr"


@pytest.fixture(scope="session")
def make_slow(make_tiny: Callable[[Path], Any], reviews: Any, write_csv: Any) -> Callable[[Path], Any]:
    """Give ``make_slow(folder)``: 160 rows to train on, 120 for validation, 30 for the test; three seeds."""

    def make(folder: Path) -> Any:
        scratch = make_tiny(folder)
        write_csv(folder / "train.csv", reviews(160))
        write_csv(folder / "dev.csv", reviews(120, seed=1))
        write_csv(folder / "test.csv", reviews(30, seed=2))
        scratch.recipe["name"] = "slow"
        scratch.recipe["data"]["test"] = {"type": "csv", "path": "test.csv"}
        scratch.recipe["stages"][0] |= {"epochs": 3, "batch_size": 16, "checkpoint_minutes": 0}
        scratch.recipe["stages"][0]["optimizer"]["lr"] = 1e-5
        scratch.recipe["evaluate"] = {"seeds": 3, "plain": False}
        return scratch

    return make


@pytest.fixture
def slow(make_slow: Callable[[Path], Any], tmp_path: Path) -> Any:
    """Such a recipe of the test's own."""
    return make_slow(tmp_path / "project")
