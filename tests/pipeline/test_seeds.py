"""Several seeds share what has none; several recipes share a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def test_two_seeds_share_pretraining_and_the_better_one_ships(project: Any, events: Any) -> None:
    project.recipe["stages"][1] |= {"epochs": 4}
    run = project.run(progress=events, evaluate={"seeds": 2, "best": "accuracy"}, export=[{"type": "onnx"}])
    stages = [name for name in events.outcome if name.startswith("stage")]
    assert stages == ["stage adapt", "stage tune (seed 0)", "stage tune (seed 1)"]
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert report["seeds"] == [0, 1]
    nodes = json.loads((run.folder / "run.json").read_text("utf-8"))["nodes"]
    objects = project.folder / ".hft" / "objects"
    figures = {
        split: [
            json.loads((objects / nodes[f"evaluate (seed {seed})"]["key"] / f"{split}.json").read_text("utf-8"))[
                "figures"
            ]
            for seed in (0, 1)
        ]
        for split in ("validation", "test")
    }
    scores = [figure["accuracy"] for figure in figures["validation"]]
    shipped = scores.index(max(scores))
    for split in ("validation", "test"):
        own = [figure["accuracy"] for figure in figures[split]]
        shown = report["metrics"][split]["accuracy"]
        assert shown["value"] == pytest.approx(np.mean(own))
        assert shown["sd"] == pytest.approx(np.std(own, ddof=1))
        assert shown["shipped"] == pytest.approx(own[shipped])
        assert shown["low"] <= shown["value"] <= shown["high"]
    weights = [
        (objects / nodes[f"stage tune (seed {seed})"]["key"] / "model" / "model.safetensors").read_bytes()
        for seed in (0, 1)
    ]
    assert weights[0] != weights[1]
    assert (run.model / "model.safetensors").read_bytes() == weights[shipped]


def test_two_recipes_share_a_store(
    make_project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: Any
) -> None:
    monkeypatch.setenv("HFT_STORE", str(tmp_path / "store"))
    make_project("one").run()
    other = make_project("two")
    run = other.run("stages.1.optimizer.lr=2e-3", progress=events, name="another")
    made = {name for name, outcome in events.outcome.items() if outcome == "made"}
    assert made == {"try stages", "stage tune", "evaluate", "diagnosis"}
    assert run.folder == other.folder / "runs" / "another"
    assert not (other.folder / ".hft").exists()
