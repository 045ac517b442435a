"""A whole recipe in two processes: what one makes of it, written by the first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hft_core

TOLERANCE = 1e-4


def rows_of(folder: Path) -> dict[tuple[int, int], list[list[int]]]:
    """The rows of each step, by the stage's number of steps and the step, in whatever process they were."""
    found: dict[tuple[int, int], set[str]] = {}
    for file in folder.glob("rows-*.jsonl"):
        for line in file.read_text().splitlines():
            steps, step, rows = json.loads(line)
            found.setdefault((steps, step), set()).update(map(json.dumps, rows))
    return {key: sorted(json.loads(row) for row in rows) for key, rows in sorted(found.items())}


def assert_same_run(found: Any, wanted: Any) -> None:
    """Figures and weights within rounding."""
    weights, others = found.weights(), wanted.weights()
    assert set(weights) == set(others)
    for name, weight in weights.items():
        assert float((weight - others[name]).abs().max()) <= TOLERANCE, name
    figures, other_figures = (
        json.loads((run.run / "report.json").read_text("utf-8"))["metrics"] for run in (found, wanted)
    )
    for split, named in other_figures.items():
        for name, figure in named.items():
            assert figures[split][name]["value"] == pytest.approx(figure["value"], abs=TOLERANCE), (split, name)


@pytest.mark.slow
def test_two_processes_make_the_run_of_one(project: Any, alone: Any) -> None:
    (project.folder / "rows").mkdir()
    ended = project.carry_out(2, WATCH_FOLDER=str(project.folder / "rows"))
    assert ended.codes == [0, 0], ended.said
    assert_same_run(project, alone)
    wanted = rows_of(alone.folder / "rows")
    assert len(wanted) == 3 + 12  # steps of both stages
    assert rows_of(project.folder / "rows") == wanted
    assert (project.folder / "rows" / "rows-1.jsonl").stat().st_size  # the second process had its share
    own = [line for line in project.log(1).read_text().splitlines() if "/rows/" not in line]
    assert own == []  # nothing was written by it
    assert "os.rename" in project.log(0).read_text()  # and that would have been seen
    assert ended.errors[1] == ""
    assert "stage tune: epoch 3" in ended.errors[0]


@pytest.mark.slow
def test_sharded_weights_make_the_same_run(project: Any, alone: Any) -> None:
    project.recipe["export"] = [{"type": "onnx"}]
    ended = project.carry_out(2, "--set", "strategy=fsdp")
    assert ended.codes == [0, 0], ended.said
    assert_same_run(project, alone)
    assert "os.rename" not in project.log(1).read_text()
    (said,) = hft_core.Run.open(project.run).predict(["the film was good"])
    assert said["label"] in ("neg", "pos")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_stopped_with_two_continued_with_one_and_with_two(project: Any, alone: Any, strategy: str) -> None:
    """SIGTERM in one process checkpoints in both; whoever goes on sees the rows of the run that nobody stopped."""
    project.recipe["strategy"] = strategy
    (project.folder / "rows").mkdir()
    watch = {"WATCH_FOLDER": str(project.folder / "rows")}
    ended = project.carry_out(2, WATCH_ACTION="stop 1 5", **watch)
    assert ended.codes == [75, 75], ended.said
    assert len(ended.told()) == 1
    assert "stopped at step 5 of 12 as asked; run the same command to continue" in ended.told()[0]
    ended = project.carry_out(1, WATCH_ACTION="stop 0 8", **watch)
    assert ended.codes == [75], ended.said
    assert "continuing at step 5 of 12" in ended.errors[0]
    ended = project.carry_out(2, **watch)
    assert ended.codes == [0, 0], ended.said
    assert "continuing at step 8 of 12" in ended.errors[0]
    assert rows_of(project.folder / "rows") == rows_of(alone.folder / "rows")
    assert_same_run(project, alone)


@pytest.mark.slow
def test_two_runs_at_once_share_the_store(project: Any, alone: Any) -> None:
    first = project.begin(2, "--set", "stages.1.epochs=20")
    (project.folder / "errors-0.txt").rename(project.folder / "first.txt")
    second = project.begin(2, "--set", "stages.1.epochs=20", "--out", str(project.folder / "runs" / "second"))
    assert project.end(second).codes == [0, 0]
    assert project.end(first).codes == [0, 0]
    said = [(project.folder / name).read_text("utf-8") for name in ("first.txt", "errors-0.txt")]
    assert sum("stage tune: done" in text for text in said) == 1
    assert sum("stage tune: in the store already" in text for text in said) == 1
    models = [project.folder / "runs" / name / "model" / "model.safetensors" for name in ("small", "second")]
    assert models[0].read_bytes() == models[1].read_bytes()


@pytest.mark.slow
def test_stages_of_several_seeds_are_followed(make_project: Callable[[str], Any]) -> None:
    """What is in the store is not trained again, and the second process knows; then it trains with the first again."""
    project = make_project("seeds")
    project.recipe["stages"] = project.recipe["stages"][1:]
    del project.recipe["data"]["corpus"]
    project.recipe["stages"][0]["epochs"] = 1
    assert project.carry_out(2).codes == [0, 0]
    ended = project.carry_out(2, "--set", "evaluate.seeds=2")
    assert ended.codes == [0, 0], ended.said
    assert "stage tune (seed 0): in the store already" in ended.errors[0]
    assert "stage tune (seed 1): done" in ended.errors[0]
