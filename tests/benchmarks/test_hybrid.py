"""The hybrid benchmark: what tables it makes of its lines. It trains nothing here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hft_core.evidence.comparison import Comparison

from ..loading import module_at
from . import hybrid_table

Lines = list[dict[str, Any]]
RIGHT = "01" * 10


def about(task: str, leaked: str = "0" * 20) -> dict[str, Any]:
    rows = {"train": 900, "validation": 100, "test": 20}
    return {"task": task, "files": "f", "labels": ["a", "b"], "right": RIGHT, "leaked": leaked, "rows": rows}


def run(task: str, arm: str, seed: int, wrong: int, recipe: str | None = None, files: str = "f") -> dict[str, Any]:
    """A run that gets the last `wrong` rows wrong."""
    predicted = RIGHT[: 20 - wrong] + RIGHT[20 - wrong :].translate(str.maketrans("01", "10"))
    key = {"task": task, "files": files, "arm": arm, "seed": seed, "recipe": recipe}
    return key | {"train_cpu_s": 10.0 * (seed + 1), "predicted": predicted}


def tables(lines: Lines, capsys: pytest.CaptureFixture[str], recipe: str | None = None) -> list[list[str]]:
    hybrid_table.print_tables(lines, recipe)
    printed = capsys.readouterr().out.splitlines()
    cells = [line.strip("|").split("|") for line in printed if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells if "95 % interval" not in "".join(row)]


def test_differences_are_of_seeds_that_both_have(capsys):
    lines = [
        about("trec"),
        run("trec", "hft", 0, 9, recipe="old"),
        run("trec", "hft", 0, 5, recipe="new", files="others"),
        run("trec", "hft", 0, 2, recipe="new"),
        run("trec", "hft", 1, 4, recipe="new"),
        run("trec", "hft", 2, 20, recipe="new"),
        run("trec", "Trainer", 0, 4),
        run("trec", "Trainer", 1, 6),
    ]
    row, *pools = tables(lines, capsys)
    assert row[:7] == [
        "trec", "900 (+ 100 for validation)", "accuracy", "56.67", "90.00, 80.00, 0.00", "75.00", "80.00, 70.00",
    ]  # fmt: skip
    assert row[7] == "+10.00"
    assert row[9:] == ["20", "15"]
    assert [pool[0] for pool in pools] == ["tasks that decide", "all tasks", "tasks with at most 2,000 labelled rows"]
    assert {pool[2] for pool in pools} == {"+10.00"}
    before, *_ = tables(lines, capsys, recipe="old")
    assert before[3:8] == ["55.00", "55.00", "75.00", "80.00, 70.00", "-25.00"]


def test_runs_of_an_earlier_recipe_do_not_count(capsys):
    lines = [about("trec"), run("trec", "hft", 0, 2, recipe="old"), run("trec", "Trainer", 0, 4)]
    lines += [about("sciie"), run("sciie", "hft", 0, 2, recipe="new")]
    trec, sciie = tables(lines, capsys)
    assert trec[3] == ""
    assert sciie[3] == "90.00"


def test_the_clean_test_is_a_row_of_its_own_and_decides_nothing(capsys):
    leaked = "0" * 18 + "11"
    lines = [
        about("citation-intent", leaked),
        run("citation-intent", "hft", 0, 2),
        run("citation-intent", "Trainer", 0, 4),
    ]
    whole, clean, every, few = tables(lines, capsys)
    assert whole[3] == "90.00"
    assert clean[0] == "citation-intent, 18 test rows that were no leak"
    assert clean[3] == "100.00"
    assert [row[0] for row in (every, few)] == ["all tasks", "tasks with at most 2,000 labelled rows"]
    assert every[2] == whole[7]


def test_a_task_without_runs_is_shown_empty(capsys):
    (row,) = tables([about("sciie")], capsys)
    assert row[3:] == [""] * 8


def test_each_task_counts_the_same_when_pooled():
    one = Comparison(0.04, 0.03, 10.0, 3, 100, 0.0, 0.0)
    other = Comparison(0.00, 0.04, 40.0, 2, 5000, 0.0, 0.0)
    both = hybrid_table.pooled([one, other])
    assert (both.difference, both.standard_error) == pytest.approx((0.02, 0.025))
    assert both.degrees == pytest.approx((0.0009 + 0.0016) ** 2 / (0.0009**2 / 10 + 0.0016**2 / 40))
    assert (both.seeds, both.rows) == (2, 5100)


def test_printing_runs_nothing(tmp_path, monkeypatch, capsys):
    file = tmp_path / "lines.jsonl"
    lines = [about("trec"), run("trec", "hft", 0, 2), run("trec", "Trainer", 0, 4)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    bench = module_at(Path(__file__).with_name("hybrid.py"))
    monkeypatch.setattr(sys, "argv", ["hybrid", "--print", "--results", str(file), "--peer", "nowhere"])
    bench.main()
    assert "| +10.00 |" in capsys.readouterr().out


def test_what_is_committed_can_be_printed(capsys):
    """Every run of the results has as many predictions as its test has rows."""
    bench = module_at(Path(__file__).with_name("hybrid.py"))
    lines = [json.loads(line) for line in bench.RESULTS.read_text("utf-8").splitlines()]
    rows = {(line["task"], line["files"]): len(line["right"]) for line in lines if "right" in line}
    assert lines
    assert all(len(line["predicted"]) == rows[line["task"], line["files"]] for line in lines if "arm" in line)
    assert tables(lines, capsys)
