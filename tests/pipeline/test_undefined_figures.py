"""Figures that are no numbers: what other programs read stays JSON."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import hft_core
from hft_core.pipeline.rewrite import add_part

METRIC = '''
from typing import Literal
import numpy as np
from hft_core import Metric, hookimpl


class Undefined(Metric):
    """A figure that cannot be told, or on validation only."""

    type: Literal["undefined"]
    on_validation: float | None = None
    needs = frozenset({"label"})

    def rows(self, predictions, truths, facts):
        return np.ones((len(predictions), 1))

    def value(self, statistics, facts):
        told = self.on_validation if statistics.sum() == 110 else None
        return {"undefined": float("nan") if told is None else told, "undefined[endless]": float("inf")}


@hookimpl
def register_metrics():
    return [Undefined]
'''


def strictly(text: str) -> Any:
    """Read JSON; a number that JSON does not know is an error."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.slow
def test_reports_with_figures_that_are_none(project: Any, tmp_path: Path, hft_here: Any) -> None:
    plugin = tmp_path / "undefined.py"
    plugin.write_text(METRIC, encoding="utf-8")
    metrics = [{"type": "accuracy"}, {"type": "undefined"}]
    run = hft_core.run(project.write(evaluate={"metrics": metrics, "best": "accuracy"}), plugins=[plugin]).folder
    figures = strictly((run / "report.json").read_text("utf-8"))["metrics"]["validation"]
    assert figures["undefined"]["value"] is figures["undefined[endless]"]["value"] is None
    assert not re.search(r"type: undefined\s+value:", (run / "README.md").read_text("utf-8"))
    other = shutil.copytree(run, run.with_name("other"))
    for command in (["report", run], ["compare", run, other]):
        done = hft_here(*command, "--json")
        assert done.code == 0, done.err
        strictly(done.out)
    refused = hft_here("compare", run, other, "--metric", "undefined")
    assert refused.code == 2
    assert "is no number; choose another figure with --metric" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize("on_validation", [None, 0.5])
def test_the_figure_that_decides_is_none(
    project: Any, tmp_path: Path, hft_here: Any, on_validation: float | None
) -> None:
    """A run ends as any other one, and what comes after it reads its report: pages, cards, other commands."""
    plugin = tmp_path / "undefined.py"
    plugin.write_text(METRIC, encoding="utf-8")
    undefined = {"type": "undefined", "on_validation": on_validation}
    evaluate = {"metrics": [{"type": "accuracy"}, undefined], "best": "undefined"}
    file = project.write(evaluate=evaluate, export=[{"type": "onnx"}])
    done = hft_here("run", file, "--plugin", plugin)
    assert done.code == 0, done.err
    assert "–" in done.out
    run = hft_core.Run.open(project.folder / "runs" / "small")
    assert math.isnan(run.metrics["test"]["undefined"])
    first = (run.report.read_text("utf-8"), (run.folder / "README.md").read_text("utf-8"))
    add_part(run.folder, "search", None)
    done = hft_here("report", run.folder)
    assert done.code == 0, done.err
    assert (run.report.read_text("utf-8"), (run.folder / "README.md").read_text("utf-8")) == first
    done = hft_here("evaluate", run.bundle, project.folder / "test.csv", "--plugin", plugin)
    assert done.code == 0, done.err
