"""Small recipes in several processes on one machine, as torchrun would start them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..pipeline.conftest import sentences

NEVER = 240.0
"""Seconds after which processes count as stuck."""
HERE = Path(__file__).parent


@dataclass
class Ended:
    """What the processes of one run left."""

    codes: list[int]
    errors: list[str]
    """What each printed to stderr."""

    @property
    def said(self) -> str:
        """Everything, for messages."""
        return "\n".join(
            f"--- process {i} (exit code {c})\n{e}"
            for i, (c, e) in enumerate(zip(self.codes, self.errors, strict=True))
        )

    def told(self) -> list[str]:
        """The lines that tell an error, of all processes."""
        return [line for text in self.errors for line in text.splitlines() if line.startswith("error:")]


@dataclass
class Project:
    """A folder with data and a recipe of two stages: text, then labels."""

    folder: Path
    recipe: dict[str, Any]

    def write(self) -> Path:
        file = self.folder / "recipe.yaml"
        file.write_text(json.dumps(self.recipe, ensure_ascii=False, indent=1), encoding="utf-8")
        return file

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "small"

    def begin(self, count: int, *arguments: str, **environment: str | Sequence[str]) -> list[subprocess.Popen[str]]:
        """Start `hft run` in `count` processes; a variable may have another value in each."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)} if count > 1 else {}
        begun = []
        for rank in range(count):
            own = {key: value if isinstance(value, str) else value[rank] for key, value in environment.items()}
            ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)} if count > 1 else {}
            with (self.folder / f"errors-{rank}.txt").open("w") as errors:
                process = subprocess.Popen(
                    [sys.executable, str(HERE / "process.py"), str(self.folder), str(self.log(rank)), "run",
                     str(self.write()), "--plugin", str(HERE / "watched.py"), *arguments],
                    cwd=self.folder,
                    env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"} | common | ranks | own,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    text=True,
                )  # fmt: skip
            begun.append(process)
        return begun

    def end(self, begun: list[subprocess.Popen[str]]) -> Ended:
        """Wait for them all."""
        try:
            codes = [process.wait(timeout=NEVER) for process in begun]
        finally:
            for process in begun:
                process.kill()
        return Ended(codes, [(self.folder / f"errors-{rank}.txt").read_text("utf-8") for rank in range(len(begun))])

    def carry_out(self, count: int, *arguments: str, **environment: str | Sequence[str]) -> Ended:
        """Run the recipe in `count` processes."""
        return self.end(self.begin(count, *arguments, **environment))

    def log(self, rank: int) -> Path:
        """Where a process notes what it writes."""
        return self.folder.parent / f"{self.folder.name}-writes-{rank}.txt"

    def weights(self) -> dict[str, Any]:
        """The finished model's."""
        from safetensors.torch import load_file

        return load_file(self.run / "model" / "model.safetensors")


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store lies beside each test's recipe."""
    monkeypatch.delenv("HFT_STORE", raising=False)


def _project(folder: Path) -> Project:
    folder.mkdir(parents=True)
    for name, count, seed in (("train", 64, 1), ("dev", 110, 2)):
        lines = [f"{text},{label}" for text, label in sentences(count, seed)]
        (folder / f"{name}.csv").write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    (folder / "corpus.txt").write_text("\n".join(text for text, _ in sentences(50, 4)) + "\n", encoding="utf-8")
    stage = {"batch_size": 16, "micro_batch": 4, "checkpoint_minutes": 60}
    recipe = {
        "name": "small",
        "data": {
            "train": {"type": "csv", "path": "train.csv"},
            "validation": {"type": "csv", "path": "dev.csv"},
            "corpus": {"type": "text", "path": "corpus.txt"},
        },
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {
            "type": "bert",
            "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}},
            "max_length": 64,
        },
        "stages": [
            {"stage": "pretrain", "name": "adapt", "epochs": 1, "objectives": [{"type": "masked-lm", "data": "corpus"}],
             "techniques": [{"type": "watched", "on": ["masked-lm"]}]} | stage,
            {"stage": "finetune", "name": "tune", "epochs": 3, "objectives": [{"type": "task", "data": "train"}],
             "optimizer": {"type": "adam", "lr": 1e-3}, "techniques": [{"type": "watched"}]} | stage,
        ],
        "precision": "fp32",
    }  # fmt: skip
    return Project(folder, recipe)


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[[str], Project]:
    """Give ``make(name)``: a project in a folder of that name."""
    return lambda name: _project(tmp_path / name)


@pytest.fixture(scope="module")
def make_module_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Project]:
    """The same for what the tests of a module share."""
    return lambda name: _project(tmp_path_factory.mktemp("module") / name)


@pytest.fixture
def project(make_project: Callable[[str], Project]) -> Project:
    return make_project("project")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project as one process carries it out that nobody disturbs; its rows are in `rows`."""
    project = _project(tmp_path_factory.mktemp("alone") / "project")
    (project.folder / "rows").mkdir()
    ended = project.carry_out(1, WATCH_FOLDER=str(project.folder / "rows"))
    assert ended.codes == [0], ended.said
    return project
