"""A recipe of a pretrain and a finetune stage in seconds, with a space over the second one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LR, BATCH = "stages.1.optimizer.lr", "stages.1.batch_size"
SPACE = {LR: {"low": 1e-4, "high": 1e-2, "log": True}, BATCH: {"choices": [8, 16, 32]}}


@pytest.fixture(scope="session")
def make_searched(make_tiny: Callable[[Path], Any], reviews: Any, write_csv: Any) -> Callable[[Path], Any]:
    """Give ``make_searched(folder)``: 160 rows to train on, 120 to choose by, 30 for the test, some unlabelled text."""

    def make(folder: Path) -> Any:
        scratch = make_tiny(folder)
        write_csv(folder / "train.csv", reviews(160))
        write_csv(folder / "dev.csv", reviews(120, seed=1))
        write_csv(folder / "test.csv", reviews(30, seed=2))
        text = "\n".join(row["review"] for row in reviews(80, seed=3))
        (folder / "corpus.txt").write_text(text, encoding="utf-8")
        recipe = scratch.recipe
        recipe["name"] = "searched"
        recipe["data"]["test"] = {"type": "csv", "path": "test.csv"}
        recipe["data"]["corpus"] = {"type": "text", "path": "corpus.txt"}
        pretrain = {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "corpus"}], "epochs": 2}
        recipe["stages"].insert(0, pretrain)
        recipe["stages"][1] |= {"epochs": 3, "batch_size": 16, "checkpoint_minutes": 0}
        recipe["search"] = {"space": {path: dict(dimension) for path, dimension in SPACE.items()}, "trials": 3}
        return scratch

    return make


@pytest.fixture
def searched(make_searched: Callable[[Path], Any], tmp_path: Path) -> Any:
    """Such a recipe of the test's own."""
    return make_searched(tmp_path / "project")
