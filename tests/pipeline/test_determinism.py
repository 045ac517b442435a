"""The same recipe gives the same keys and bytes: in another folder and process, under another hash seed, with loader workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

RUNS = (("first", 0, "1"), ("elsewhere/deeper", 2, "4242"), ("third", 0, "random"))
"""Folder, loader workers, PYTHONHASHSEED."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(make_shared_project: Any) -> list[Path]:
    """A pre-training and a joint stage with micro-batches, dropout and masks; variants of the rows; carried out thrice."""
    folders = []
    for folder, workers, hash_seed in RUNS:
        project = make_shared_project(folder)
        adapt, tune = project.recipe["stages"]
        tune["objectives"].append({"type": "masked-lm", "data": "corpus", "weight": {"from": 0.3, "to": 0.1}})
        tune |= {"micro_batch": 6, "workers": workers, "epochs": 2}
        adapt |= {"workers": workers, "epochs": 2}
        recipe = project.write(prepare={"augment": [{"type": "random-swap", "copies": 1}]})
        process = project.command("run", str(recipe), PYTHONHASHSEED=hash_seed)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        folders.append(project.folder / "runs" / "small")
    return folders


@pytest.mark.parametrize("other", [1, 2], ids=["two workers", "another hash seed"])
def test_keys_are_the_same(runs: list[Path], other: int) -> None:
    first, second = (json.loads((runs[i] / "run.json").read_text("utf-8"))["nodes"] for i in (0, other))
    assert {name: node["key"] for name, node in first.items()} == {name: node["key"] for name, node in second.items()}


@pytest.mark.parametrize("other", [1, 2], ids=["two workers", "another hash seed"])
def test_weights_are_the_same(runs: list[Path], other: int) -> None:
    files = sorted(file.relative_to(runs[0]) for file in (runs[0] / "model").rglob("*.safetensors"))
    assert len(files) == 2, "the task's folder, and the other head beside it"
    for file in files:
        assert (runs[0] / file).read_bytes() == (runs[other] / file).read_bytes(), file


@pytest.mark.parametrize("other", [1, 2], ids=["two workers", "another hash seed"])
def test_figures_are_the_same(runs: list[Path], other: int) -> None:
    first, second = (json.loads((runs[i] / "report.json").read_text("utf-8"))["metrics"] for i in (0, other))
    assert first == second
