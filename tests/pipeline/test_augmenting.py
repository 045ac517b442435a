"""Runs with augmenters: fresh variants beside training, the check, the recipe's own model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import hft_core


@pytest.fixture
def one_stage(make_project: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``make(name, augmenter, **stage)``: a project that only fine-tunes."""

    def make(name: str, augmenter: dict[str, Any], **stage: Any) -> Any:
        project = make_project(name)
        del project.recipe["data"]["corpus"]
        project.recipe["stages"] = [project.recipe["stages"][1] | {"epochs": 1} | stage]
        project.recipe["prepare"] = {"augment": [augmenter]}
        return project

    return make


def losses_of(project: Any) -> Any:
    hft_core.run(project.write())
    [file] = [file for file in (project.folder / ".hft").rglob("stage.json") if '"history"' in file.read_text()]
    return [point["losses"] for point in json.loads(file.read_text())["history"] if "losses" in point]


@pytest.mark.slow
def test_fresh_variants_are_the_same_beside_training(one_stage: Callable[..., Any]) -> None:
    swap = {"type": "random-swap", "rate": 0.5}
    stored, fresh, beside = (
        losses_of(one_stage(f"{number}", swap | {"fresh": new}, epochs=4, workers=workers))
        for number, (new, workers) in enumerate([(False, 0), (True, 0), (True, 2)])
    )
    assert fresh == beside
    assert len(fresh) == 24
    assert fresh[:18] == stored[:18]  # six steps an epoch: original, the stored variant, original
    assert fresh[18:] != stored[18:]


def test_the_check_is_said(one_stage: Callable[..., Any], hft_here: Callable[..., Any]) -> None:
    recipe = one_stage("checked", {"type": "random-delete", "rate": 0.9, "check": "tfidf"}).write()
    outcome = hft_here("run", recipe)
    assert outcome.code == 0
    found = re.search(r"check: (\d+) of (\d+) variants by random-delete \(([\d.]+)%\)", outcome.out + outcome.err)
    assert found
    assert 0 < int(found[1]) < int(found[2])
    [report] = recipe.parent.rglob("report.json")
    [check] = [one for one in json.loads(report.read_text("utf-8"))["checks"] if one.get("code") == "variants-checked"]
    assert (check["rows"], check["severity"]) == (int(found[1]), "warning")
    assert check["title"] in (report.parent / "report.html").read_text("utf-8")


def test_a_check_needs_labels(one_stage: Callable[..., Any], hft_here: Callable[..., Any]) -> None:
    project = one_stage("unlabelled", {"type": "punctuation", "check": "tfidf"})
    project.recipe["task"] = {"type": "token-classification", "text": "text", "entities": "label"}
    outcome = hft_here("check", project.write())
    assert outcome.code == 2
    assert "augment" in outcome.out + outcome.err
    assert "only labels can be checked" in outcome.out + outcome.err
