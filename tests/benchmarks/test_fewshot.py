"""The few-shot benchmark: what rows it draws, and what table it makes of its lines. It trains nothing here."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from ..loading import module_at
from .fewshot_rows import TASKS, _bare, draw, measured_rows, pool_and_test

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("task", TASKS)
def test_draws_are_balanced_the_same_each_time_and_not_of_the_test(data_dir, monkeypatch, task):
    monkeypatch.setenv("HFT_DATA", str(data_dir))
    pool, test = pool_and_test(task, ROOT)
    assert not {_bare(text) for text, _ in pool} & {_bare(text) for text, _ in test}
    rows = draw(pool, 8, 3)
    labels = {label for _, label in test}
    assert Counter(label for _, label in rows) == dict.fromkeys(labels, 8)
    assert len(set(rows)) == len(rows)
    assert rows == draw(pool, 8, 3)
    assert rows != draw(pool, 8, 4)
    assert measured_rows(test, 50) == measured_rows(test, 50) != test[:50]
    assert measured_rows(test, None) == test


def test_the_table_is_of_pairs(tmp_path, monkeypatch, capsys):
    lines = [
        {
            "task": "sst2",
            "shots": 8,
            "split": split,
            "arm": arm,
            "test_rows": None,
            "accuracy": accuracy,
            "train_cpu_s": cpu,
        }
        for arm, cpu, found in (("hft", 5.0, (62.0, 64.0, 69.0)), ("setfit", 10.0, (60.0, 60.0)))
        for split, accuracy in enumerate(found)
    ]
    file = tmp_path / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    bench = module_at(Path(__file__).with_name("fewshot.py"))
    monkeypatch.setattr(sys, "argv", ["fewshot", "--out", str(file), "--arms"])
    bench.main()
    rows = [row.strip("| ").split(" | ") for row in capsys.readouterr().out.splitlines() if row.startswith("| sst2")]
    assert rows[0][:7] == ["sst2", "8", "hft", "3", "65.00", "3.6", "5.0"]
    assert rows[1] == ["sst2", "8", "setfit", "2", "60.00", "0.0", "10.0", "+3.00", "-9.71 … +15.71", "0.50"]
