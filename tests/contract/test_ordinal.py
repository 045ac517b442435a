"""A third party's task with a decoder of its own, in fewer than 100 lines: from `hft check` to predictions without torch.

The documentation shows these very files.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hft_core

from ..loading import module_at
from .conftest import DISTRIBUTIONS

OWN = DISTRIBUTIONS / "hft-ordinal"
PAGE = Path(__file__).parents[2] / "docs" / "tasks" / "new-task.md"
TASTE = ("difficult 难吃", "bland 一般", "fine 还行", "good 好吃", "superb 太棒了")


@pytest.fixture(scope="module", autouse=True)
def installed(distribution: Callable[[str], Path]) -> Path:
    return distribution("hft-ordinal")


def rows(count: int, seed: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    fillers = ["the soup was", "今天的菜", "dinner:", "it is", "味道"]
    ratings = [draw.randint(1, 5) for _ in range(count)]
    return [(f"{draw.choice(fillers)} {draw.choice(TASTE[r - 1].split())} n{n}", str(r)) for n, r in enumerate(ratings)]


def project(folder: Path, train: list[tuple[str, str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("train", train), ("dev", rows(120, 1))):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("text", "rating"), *content])
    recipe = {
        "name": "ratings",
        "data": {"train": {"type": "csv", "path": "train.csv"}, "validation": {"type": "csv", "path": "dev.csv"}},
        "task": {"type": "ordinal-rating"},
        "model": {"type": "bert", "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 200}}},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 8,
                "optimizer": {"type": "adamw", "lr": 5e-3},
            }
        ],
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe, indent=1), encoding="utf-8")
    return file


def test_it_has_fewer_than_100_lines() -> None:
    lines = [line for file in OWN.glob("hft_ordinal/*.py") for line in file.read_text("utf-8").splitlines()]
    assert 50 < len([line for line in lines if line.strip()]) < 100


def test_the_documentation_shows_these_files() -> None:
    pages = module_at(Path(__file__).parents[1] / "docs" / "pages.py")
    shown = {block.file: block.text for block in pages.blocks(PAGE) if block.file}
    own = {file.relative_to(OWN).as_posix(): file.read_text("utf-8") for file in OWN.rglob("*.*") if file.is_file()}
    own = {name: text for name, text in own.items() if name.endswith((".py", ".toml"))}
    assert own == {name: text for name, text in shown.items() if name in own}


@pytest.mark.slow
def test_it_trains_exports_and_predicts(
    tmp_path: Path, python_path: Callable[..., str], hft: Any, proven: Callable[[Path], None]
) -> None:
    run = hft_core.run(project(tmp_path, rows(400, 0)))
    figures = run.metrics["validation"]
    assert figures["mae"] < 0.6  # the mean of the scale is 1.2 off
    assert figures["spearman"] > 0.8
    assert figures["accuracy"] > 0.5
    proven(run.bundle)
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert {"mean", "tfidf-ridge"} <= set(report["baselines"])
    assert report["confusion"]["labels"] == ["1", "2", "3", "4", "5"]

    block = tmp_path / "block" / "torch"
    block.mkdir(parents=True)
    (block / "__init__.py").write_text("raise ImportError('blocked')", encoding="utf-8")
    path = f"{block.parent}:{python_path('hft-ordinal')}"
    answered = hft("predict", run.bundle, "the soup was superb", "味道 难吃", PYTHONPATH=path)
    assert answered.code == 0, answered.err
    best, worst = (json.loads(line) for line in answered.out.splitlines())
    assert best["score"] > worst["score"] + 1
    assert sum(best["scores"].values()) == pytest.approx(1)
    lacking = hft("predict", run.bundle, "the soup was superb")
    assert lacking.code == 4
    assert "pip install hft-ordinal==0.1.0" in lacking.err


def test_ratings_off_the_scale_are_quarantined(tmp_path: Path, hft_here: Any) -> None:
    recipe = project(tmp_path, [*rows(10, 0), ("fine", "6"), ("fine", "soso"), ("", "3")])
    outcome = hft_here("run", recipe, "--set", "data.train.bad_rows=0")
    assert outcome.code == 3
    assert "not-on-the-scale" in outcome.err
    assert "line 12" in outcome.err


def test_ratings_that_cross_are_put_in_order() -> None:
    """Steps that were learned apart may say that 4 is likelier reached than 3."""
    from hft_ordinal.runtime import decode

    facts = {"labels": ["1", "2", "3"]}
    [found] = decode({}, {}, {}, {"above": np.array([[-1.0, 2.0]])}, facts)
    assert found["label"] == "1"
    assert min(found["scores"].values()) >= 0
