"""Whole runs of a tiny fresh model: from a few rows to a bundle; killed and continued; with rows that have no label."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core.runtime import load

from .conftest import CONTRASTIVE, Project, rows, stage, write

pytestmark = pytest.mark.slow

WARM = stage(name="warm", objectives=[{"type": "task", "data": "train"}], epochs=12)
PROMPT = {
    "type": "prompt-classification",
    "pattern": "{text} 总之很{gap}",
    "verbalizers": {"neg": "差", "pos": ["好"]},
}


def accuracy(project: Project, **changes: Any) -> float:
    project.recipe |= changes
    return float(project.run().metrics["test"]["accuracy"])


def test_contrastive_pairs_and_a_fitted_head_make_a_bundle_that_agrees(project: Project) -> None:
    learned = {"epochs": 20, "optimizer": {"type": "adamw", "lr": 3e-3, "weight_decay": 0.0}}
    project.recipe |= {"stages": [CONTRASTIVE | learned], "export": [{"type": "onnx"}]}
    run = project.run()
    assert run.metrics["test"]["accuracy"] > 0.65
    bundle = project.folder / "runs" / "few" / "bundle"
    test = rows(40, seed=2)
    found = load(bundle).predict([row["text"] for row in test])
    right = sum(own["label"] == row["label"] for own, row in zip(found, test, strict=True))
    assert right / len(test) == pytest.approx(run.metrics["test"]["accuracy"])
    assert sum(found[0]["scores"].values()) == pytest.approx(1)


def test_the_encoder_stays_and_the_head_alone_is_fitted(project: Project) -> None:
    """A linear probe: nothing but the head is trained, and that is fitted."""
    frozen = stage(
        objectives=[{"type": "task", "data": "train"}],
        techniques=[{"type": "freeze", "parts": ["embeddings", "layer"]}, {"type": "fitted-head", "penalty": 0.1}],
        epochs=1,
    )
    assert accuracy(project, stages=[frozen]) > 0.5


def test_a_frozen_head_cannot_be_fitted(project: Project) -> None:
    frozen = [{"type": "freeze", "parts": ["head"]}, {"type": "fitted-head"}]
    project.recipe["stages"] = [CONTRASTIVE | {"techniques": frozen}]
    code, said = project.refused()
    assert code == 2
    assert "another technique freezes the head, which is to be fitted" in said


def test_prompts_in_chinese_train_and_make_a_bundle_that_agrees(project: Project) -> None:
    """Pre-training and prompts in one recipe; the language model's head serves the task."""
    write(project.folder / "train.jsonl", rows(40))
    project.recipe["data"]["corpus"] = {"type": "text", "path": "unlabelled.txt"}
    stages = [
        stage(stage="pretrain", objectives=[{"type": "masked-lm", "data": "corpus"}], epochs=3),
        stage(objectives=[{"type": "prompt", "data": "train"}], epochs=15),
    ]
    assert accuracy(project, task=PROMPT, stages=stages, export=[{"type": "onnx"}]) > 0.9
    found = load(project.folder / "runs" / "few" / "bundle").predict(["the film was lovely 我 店"])
    assert found[0]["label"] == "pos"


def test_rows_without_labels_get_those_that_the_warm_model_is_sure_of(project: Project) -> None:
    pseudo = {
        "type": "pseudo-labels",
        "data": {"type": "text", "path": "unlabelled.txt"},
        "minimum": 0.55,
        "per_label": 20,
    }
    more = stage(name="more", objectives=[{"type": "task", "data": "train"}], techniques=[pseudo], epochs=3)
    assert accuracy(project, stages=[WARM, more]) > 0.6
    written = json.loads((project.folder / "runs" / "few" / "model" / "pseudo-labels.json").read_text("utf-8"))
    assert written["read"] == 60
    assert written["minimum"] == 0.55
    assert 0 < sum(written["labels"].values()) <= 40
    assert max(written["labels"].values()) <= 20


@pytest.mark.parametrize("method", ["fitted-head", "pseudo-labels"])
def test_a_killed_run_ends_with_the_same_weights(make_project: Callable[..., Project], method: str) -> None:
    pseudo = {"type": "pseudo-labels", "data": {"type": "text", "path": "unlabelled.txt"}, "minimum": 0.5}
    own = {"epochs": 15, "checkpoint_minutes": 0, "batch_size": 8}
    stages = [CONTRASTIVE | own]
    if method == "pseudo-labels":
        stages = [WARM, stage(objectives=[{"type": "task", "data": "train"}], techniques=[pseudo]) | own]
    weights = []
    for name in ("whole", "killed"):
        project = make_project(name)
        project.recipe["stages"] = stages
        if name == "whole":
            project.run()
        else:
            recipe = str(project.write())
            _kill_in_training(project.command("run", recipe), project.folder)
            process = project.command("run", recipe)
            _, errors = process.communicate()
            assert process.returncode == 0, errors
            assert "continuing at step" in errors
        folder = project.folder / "runs" / "few" / "model"
        weights.append({file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("*.safetensors"))})
    assert weights[0]
    assert weights[0] == weights[1]


def _kill_in_training(process: Any, folder: Path) -> None:
    """Kill it once the last stage has written a checkpoint behind its fifth step."""
    last = 0
    while last < 5:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
        last = max(
            (int(path.name.removeprefix("step-")) for path in folder.glob(".hft/work/*/step-*") if _late(path)),
            default=0,
        )
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _late(path: Path) -> bool:
    return path.name.removeprefix("step-").isdigit()
