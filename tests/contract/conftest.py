"""Third-party distributions, installed as a user would install them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

DISTRIBUTIONS = Path(__file__).parent / "distributions"


Pairs = list[tuple[str, str]]


def write_pairs(file: Path, columns: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> None:
    """Write a CSV file of two columns."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([columns, *pairs])


def pairs_project(
    folder: Path,
    columns: tuple[str, str],
    train: Pairs,
    validation: Pairs,
    task: dict[str, Any],
    model: dict[str, Any],
    **stage: Any,
) -> Path:
    """Write pairs, and a recipe of a model on them with `stage` in its only stage; give the recipe's file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_pairs(folder / "train.csv", columns, train)
    write_pairs(folder / "dev.csv", columns, validation)
    finetune = {"stage": "finetune", "objectives": [{"type": "task", "data": "train"}], "epochs": 1}
    recipe = {
        "name": "pairs",
        "data": {"train": {"type": "csv", "path": "train.csv"}, "validation": {"type": "csv", "path": "dev.csv"}},
        "task": task,
        "model": model,
        "stages": [finetune | stage],
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe, ensure_ascii=False, indent=1), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Installs each distribution once, into a folder of its own."""

    @cache
    def install(name: str) -> Path:
        source = tmp_path_factory.mktemp("source") / name
        shutil.copytree(DISTRIBUTIONS / name, source, ignore=shutil.ignore_patterns("__pycache__"))
        target = tmp_path_factory.mktemp("site")
        offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
        command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        return target

    return install


@pytest.fixture(scope="module")
def distribution(_installed: Callable[[str], Path]) -> Iterator[Callable[[str], Path]]:
    """Give ``distribution(name) -> folder``: where pip has installed that distribution.

    To the end of the test file it is on this process's path, so its entry points are found; for other processes the
    folder goes into PYTHONPATH (see `python_path`).
    """

    def add(name: str) -> Path:
        folder = _installed(name)
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
            added.append(str(folder))
        return folder

    added: list[str] = []
    yield add
    for folder in added:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def python_path(distribution: Callable[[str], Path]) -> Callable[..., str]:
    """Give ``python_path(*names)``: PYTHONPATH for processes that need these distributions."""

    def joined(*names: str) -> str:
        return os.pathsep.join(str(distribution(name)) for name in names)

    return joined
