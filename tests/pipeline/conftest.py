"""Small projects: three labelled files, a corpus, a tokenizer, and a recipe of a scratch model that trains in seconds."""

from __future__ import annotations

import copy
import csv
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hft_core.pipeline.progress import Progress

GOOD = ["good", "great", "fine", "lovely", "好", "很好", "喜欢"]
BAD = ["bad", "awful", "poor", "ugly", "差", "很差", "讨厌"]
OTHER = ["the", "a", "it", "was", "film", "book", "meal", "room", "I", "we", "they", "said", "very", *"这家店的菜"]


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts of 3 to 20 words, all different, and their labels: both are functions of the seed."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = draw.choice(["neg", "pos"])
        words = [draw.choice(OTHER) for _ in range(draw.randint(2, 18))]
        words.insert(draw.randint(0, len(words)), draw.choice(GOOD if label == "pos" else BAD))
        rows.append((" ".join(words) + f" n{seed}x{number}", label))
    return rows


def write_csv(file: Path, rows: list[tuple[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


@dataclass
class Project:
    """A folder with data, and a recipe to change."""

    folder: Path
    recipe: dict[str, Any]

    def write(self, **changes: Any) -> Path:
        """Write recipe.yaml, with `changes` at its top level; without the baseline that is trained, unless one asks for it."""
        from ruamel.yaml import YAML

        file = self.folder / "recipe.yaml"
        recipe = copy.deepcopy(self.recipe) | changes
        recipe["evaluate"] = {"plain": False} | recipe.get("evaluate", {})
        with file.open("w", encoding="utf-8") as stream:
            YAML().dump(recipe, stream)
        return file

    def plan(self, *overrides: str, plugins: tuple[Path, ...] = (), **changes: Any) -> dict[str, str]:
        """Keys of the recipe's nodes by name."""
        return {node.name: node.key for node in self.built(*overrides, plugins=plugins, **changes).nodes}

    def built(self, *overrides: str, plugins: tuple[Path, ...] = (), **changes: Any) -> Any:
        from hft_core.pipeline.plan import build_plan
        from hft_core.recipe import load_recipe
        from hft_core.registry import load_registry

        registry = load_registry(plugins)
        return build_plan(load_recipe(self.write(**changes), registry, overrides), registry)

    def run(self, *overrides: str, progress: Any = None, **changes: Any) -> Any:
        """Carry the recipe out in this process."""
        import hft_core

        return hft_core.run(self.write(**changes), overrides=overrides, progress=progress)

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `hft` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "hft_core", *arguments],
            cwd=self.folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


class Events(Progress):
    """A progress that remembers what happened to each node."""

    def __init__(self) -> None:
        self.outcome: dict[str, str] = {}
        self.said: list[str] = []
        self.current = ""

    def node(self, number: int, total: int, name: str) -> None:
        self.current = name

    def say(self, text: str) -> None:
        self.said.append(f"{self.current}: {text}")

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        pass

    def reused(self) -> None:
        self.outcome[self.current] = "reused"

    def done(self) -> None:
        self.outcome[self.current] = "made"

    def close(self) -> None:
        pass


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def make_events() -> type[Events]:
    return Events


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store lies beside each test's recipe."""
    monkeypatch.delenv("HFT_STORE", raising=False)


@pytest.fixture(scope="session")
def tokenizers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WordPiece and a byte-level BPE tokenizer, as files: a model that takes one does not learn its own."""
    from hft_plugins.transformers import tokenizer

    folder = tmp_path_factory.mktemp("tokenizers")
    texts = [text for text, _ in sentences(200, 99)]
    for kind in ("wordpiece", "bpe"):
        tokenizer.train(kind, 400, texts).save(str(folder / f"{kind}.json"))
    return folder


def _project(folder: Path, tokenizers: Path, family: str) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "train.csv", sentences(96, 1))
    write_csv(folder / "dev.csv", sentences(110, 2))
    write_csv(folder / "test.csv", sentences(60, 3))
    (folder / "corpus.txt").write_text("\n".join(text for text, _ in sentences(80, 4)) + "\n", encoding="utf-8")
    kind, language = {"bert": ("wordpiece", "masked-lm"), "gpt": ("bpe", "causal-lm")}[family]
    recipe = {
        "name": "small",
        "data": {
            "train": {"type": "csv", "path": "train.csv"},
            "validation": {"type": "csv", "path": "dev.csv"},
            "test": {"type": "csv", "path": "test.csv"},
            "corpus": {"type": "text", "path": "corpus.txt"},
        },
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {
            "type": family,
            "source": {"scratch": "tiny", "tokenizer": str(tokenizers / f"{kind}.json")},
            "max_length": 64,
        },
        "stages": [
            {
                "stage": "pretrain",
                "name": "adapt",
                "objectives": [{"type": language, "data": "corpus"}],
                "epochs": 1,
                "batch_size": 16,
                "optimizer": {"type": "adamw", "lr": 5e-4},
            },
            {
                "stage": "finetune",
                "name": "tune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 2,
                "batch_size": 16,
                "optimizer": {"type": "adam", "lr": 1e-3},
            },
        ],
        "precision": "fp32",
    }
    return Project(folder, recipe)


@pytest.fixture
def make_project(tmp_path: Path, tokenizers_folder: Path) -> Callable[..., Project]:
    """Give ``make(name="p", family="bert")``: a project in a folder of that name."""
    return lambda name="p", family="bert": _project(tmp_path / name, tokenizers_folder, family)


@pytest.fixture(scope="module")
def make_shared_project(tmp_path_factory: pytest.TempPathFactory, tokenizers_folder: Path) -> Callable[..., Project]:
    """The same for what the tests of a module share."""
    folder = tmp_path_factory.mktemp("shared")
    return lambda name="p", family="bert": _project(folder / name, tokenizers_folder, family)


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """An encoder's project."""
    return make_project()


SHOUT = '''
from typing import Literal
from hft_core import Augmenter, Edit, hookimpl

class Shout(Augmenter):
    """Puts exclamation marks behind a text."""

    type: Literal["shout"]
    times: int = 1

    def edits(self, texts, spans, random):
        return [[Edit(len(text), len(text), "!" * self.times)] for text in texts]

@hookimpl
def register_augmenters():
    return [Shout]
'''


@pytest.fixture
def shout(project: Project) -> Path:
    """A plugin file beside the project's recipe: the augmenter `shout`."""
    file = project.folder / "shout.py"
    file.write_text(SHOUT, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def module_project(tmp_path_factory: pytest.TempPathFactory, tokenizers_folder: Path) -> Callable[..., Project]:
    """Give ``make(name, family)``: a project that several tests of a module share."""
    root = tmp_path_factory.mktemp("module")
    return lambda name, family="bert": _project(root / name, tokenizers_folder, family)


@pytest.fixture(scope="session")
def write_rows() -> Callable[[Path, list[tuple[str, str]]], None]:
    """Give ``write(file, rows)``: a CSV file with the columns text and label."""
    return write_csv


@pytest.fixture(scope="session")
def make_rows() -> Callable[[int, int], list[tuple[str, str]]]:
    """Give ``make(count, seed)``: labelled texts."""
    return sentences
