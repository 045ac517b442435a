"""The example of rehearsal, on made-up texts in the layout of its data, with a tiny model from scratch."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import hft_core

EXAMPLE = Path(__file__).parents[2] / "examples" / "rehearsal"
ARMS = ("forgetful", "rehearsal", "reading")
TINY = "model={type: bert, source: {scratch: tiny, tokenizer: {type: wordpiece, size: 300}}}"


def write(file: Path, rows: list[tuple[str, str]], **form: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, **form).writerows(rows)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example, beside data with its file names and columns."""
    draw = random.Random(0)
    words = ["film", "plot", "actor", "team", "bank", "war", "chip", "the", "a", "was", "is", "very"]

    def text(number: int, word: str) -> str:
        return " ".join([*draw.choices(words, k=8), word, f"n{number}"])

    for split, count in (("train", 120), ("dev", 110), ("test", 60)):
        rows = [(text(at, "good" if at % 2 else "bad"), str(at % 2)) for at in range(count)]
        write(tmp_path / "sst2" / f"{split}.tsv", rows, delimiter="\t")
    topics = ("war", "team", "bank", "chip")
    write(tmp_path / "ag_news" / "train.csv", [(str(at % 4), text(at, topics[at % 4] * 2)) for at in range(200)])
    monkeypatch.setenv("HFT_DATA", str(tmp_path))
    monkeypatch.delenv("HFT_STORE", raising=False)
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("runs", ".hft"))
    return tmp_path / "example"


def test_the_arms_differ_in_nothing_but_the_side_stream() -> None:
    """What the README compares is the same run with and without rehearsal."""
    from ruamel.yaml import YAML

    recipes = {arm: YAML(typ="safe").load(EXAMPLE / f"{arm}.yaml") for arm in ARMS}
    side = {arm: recipe["stages"][0]["objectives"][1:] for arm, recipe in recipes.items()}
    assert [objective["type"] for objectives in side.values() for objective in objectives] == ["task", "masked-lm"]
    for recipe in recipes.values():
        del recipe["name"], recipe["stages"][0]["objectives"][1:]
    assert recipes["forgetful"] == recipes["rehearsal"] == recipes["reading"]


@pytest.mark.slow
def test_the_old_task_is_measured_before_and_after_in_every_arm(folder: Path) -> None:
    old = hft_core.run(folder / "old.yaml", overrides=[TINY])
    before = old.metrics["test"]["accuracy"]
    for arm in ARMS:
        run = hft_core.run(folder / f"{arm}.yaml")
        report = json.loads((run.folder / "report.json").read_text("utf-8"))
        assert report["baselines"]["before"]["test"]["sentiment.accuracy"]["value"] == before
        assert {"sentiment.accuracy", "topic.accuracy"} <= set(run.metrics["test"])
    text = (EXAMPLE / "README.md").read_text("utf-8")
    assert all(f"examples/rehearsal/{name}.yaml" in text for name in ("old", *ARMS))
