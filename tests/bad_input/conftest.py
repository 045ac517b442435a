"""How a refusal has to look."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXIT_CODES = {
    "recipe": 2,
    "data": 3,
    "plugin": 4,
    "non-finite": 5,
    "memory": 6,
    "disk": 7,
    "locked": 8,
    "damaged": 9,
}


@pytest.fixture(scope="session")
def refused() -> Callable[..., None]:
    """Give ``refused(outcome, family, *parts)``: the exit code of the family, one clear message with the parts."""

    def check(outcome: Any, family: str, *parts: str) -> None:
        assert outcome.code == EXIT_CODES[family], outcome
        assert "error: " in outcome.err
        assert "Traceback" not in outcome.err + outcome.out
        for part in parts:
            assert part in outcome.err, outcome.err

    return check


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    """A bundle of the test's own."""
    folder = Path(shutil.copytree(exported, tmp_path / "bundle"))
    for file in folder.rglob("*"):
        file.chmod(0o755)
    return folder
