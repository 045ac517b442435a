"""A damaged store mends itself: what is damaged is made again, what depends on it is the same and reused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def original(module_project: Any) -> Any:
    """A project that has run."""
    project = module_project("finished")
    project.run()
    return project


@pytest.fixture
def finished(original: Any, tmp_path: Path) -> tuple[Any, bytes]:
    """A copy of it to be damaged, and its weights."""
    project = replace(original, folder=tmp_path / "copy")
    shutil.copytree(original.folder, project.folder)
    return project, (project.folder / "runs" / "small" / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("lost", ["prepared.json", "train.arrow", "MANIFEST.json"])
def test_an_output_with_a_lost_file_is_made_again(finished: Any, events: Any, lost: str) -> None:
    project, weights = finished
    (project.folder / ".hft" / "objects" / project.plan()["prepare train"] / lost).unlink()
    run = project.run(progress=events)
    assert {name for name, outcome in events.outcome.items() if outcome == "made"} == {"prepare train"}
    assert (run.model / "model.safetensors").read_bytes() == weights


def test_a_flipped_bit_is_found(finished: Any, events: Any) -> None:
    project, weights = finished
    file = project.folder / ".hft" / "objects" / project.plan()["stage tune"] / "model" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink()  # stored files are read-only
    file.write_bytes(bytes(content))
    run = project.run(progress=events)
    assert {name for name, outcome in events.outcome.items() if outcome == "made"} == {"stage tune"}
    assert (run.model / "model.safetensors").read_bytes() == weights


def test_a_run_folder_that_was_deleted_comes_back(finished: Any, events: Any) -> None:
    project, weights = finished
    shutil.rmtree(project.folder / "runs")
    run = project.run(progress=events)
    assert set(events.outcome.values()) == {"reused"}
    assert (run.model / "model.safetensors").read_bytes() == weights
