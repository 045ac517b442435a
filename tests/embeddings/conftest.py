"""Small pairs in two languages, and a tokenizer that knows them."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hft_core import Stream
from hft_plugins.embeddings.task import PairTask
from hft_plugins.transformers import tokenizer

WORDS = {
    "red": "红",
    "cat": "猫",
    "sun": "日",
    "big": "大",
    "house": "屋",
    "water": "水",
    "mountain": "山",
    "tea": "茶",
}


def translations(count: int, seed: int) -> list[tuple[str, str]]:
    """Two to five words, and the same in Chinese, in another order."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(count):
        chosen = draw.sample(sorted(WORDS), draw.randint(2, 5))
        others = [WORDS[word] for word in chosen]
        draw.shuffle(others)
        pairs.append((" ".join(chosen), "".join(others)))
    return pairs


def write(file: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def project(
    folder: Path,
    header: Sequence[str],
    train: Sequence[Sequence[Any]],
    validation: Sequence[Sequence[Any]],
    task: dict[str, Any],
    stage: dict[str, Any] | None = None,
    **recipe: Any,
) -> Path:
    """Write the rows, and a recipe of a tiny fresh model."""
    write(folder / "train.csv", header, train)
    write(folder / "dev.csv", header, validation)
    content = {
        "name": "pairs",
        "data": {"train": {"type": "csv", "path": "train.csv"}, "validation": {"type": "csv", "path": "dev.csv"}},
        "task": task,
        "model": {
            "type": "bert",
            "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 200}},
            "max_length": 24,
        },
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 2,
                "batch_size": 32,
                "optimizer": {"type": "adamw", "lr": 1e-3},
            }
            | (stage or {})
        ],
        "precision": "fp32",
    } | recipe
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def words() -> Any:
    """A tokenizer of the words."""
    texts = [text for pair in translations(60, 0) for text in pair]
    return tokenizer.for_scratch(tokenizer.train("wordpiece", 200, texts, "bert"), "bert", 24, 24)


@pytest.fixture
def stream(words: Any) -> Any:
    """Give ``stream(task)``: what an objective gets of it."""

    def make(task: PairTask) -> Stream:
        return Stream(words, task.roles(), task, {})

    return make
