"""`hft report` writes report and card again; `hft compare` puts runs side by side, and refuses those that cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def fake(folder: Path, **changes: Any) -> Path:
    """A run folder with as much as a comparison reads, and nothing in its store."""
    figures = {"value": 0.8, "low": 0.7, "high": 0.9}
    report = {
        "name": folder.name,
        "created": "2026-05-04T10:21:00+00:00",
        "hft": "0.1",
        "model": "bert",
        "task": "text-classification",
        "seeds": [0],
        "headline": {"split": "test", "metric": "accuracy", "greater_is_better": True},
        "metrics": {"test": {"accuracy": figures, "f1": figures}},
        "measured": {"test": {"rows": 60, "digest": "abc"}},
    }
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report | changes), encoding="utf-8")
    note = {
        "store": str(folder / "store"),
        "folder": str(folder),
        "nodes": {},
        "recipe": {"name": folder.name, "seed": 1},
    }
    (folder / "run.json").write_text(json.dumps(note), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"task": "regression"}, 2, "is a run of the task regression"),
        ({"headline": None}, 2, "was not measured on a task"),
        ({"headline": {"split": "test", "metric": "f1", "greater_is_better": True}}, 2, "--metric"),
        ({"headline": {"split": "validation", "metric": "accuracy", "greater_is_better": True}}, 2, "different splits"),
        ({"measured": {"test": {"rows": 61, "digest": "else"}}}, 3, "other rows of test (61)"),
        ({"measured": {}}, 3, "does not say which rows"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    tmp_path: Path, hft_here: Callable[..., Any], changes: dict[str, Any], code: int, said: str
) -> None:
    first, second = fake(tmp_path / "一"), fake(tmp_path / "b", **changes)
    found = hft_here("compare", first, second)
    assert found.code == code, found.err
    assert said in found.err
    assert "Traceback" not in found.err


def test_what_is_no_run_is_refused(tmp_path: Path, hft_here: Callable[..., Any]) -> None:
    first = fake(tmp_path / "a")
    for arguments, code, said in (
        ((first,), 2, "two different runs"),
        ((first, first), 2, "two different runs"),
        ((first, tmp_path / "none"), 2, "has no report.json"),
        ((first, fake(tmp_path / "b"), "--metric", "bleu"), 2, "has no figure 'bleu' on test; it has accuracy, f1"),
    ):
        found = hft_here("compare", *arguments)
        assert (found.code, said in found.err) == (code, True), found.err
    (first / "report.json").write_text("{", encoding="utf-8")
    assert hft_here("compare", first, tmp_path / "b").code == 9
    assert hft_here("report", first).code == 9
    (tmp_path / "b" / "report.json").write_text('{"name": "b", "metrics": {}, "hft": "0.0.1"}', encoding="utf-8")
    old = hft_here("report", tmp_path / "b")
    assert old.code == 9
    assert "made by hft 0.0.1" in old.err
    assert hft_here("report", tmp_path).code == 2


def test_without_the_store_there_is_no_pairing_and_it_is_said(tmp_path: Path, hft_here: Callable[..., Any]) -> None:
    runs = [fake(tmp_path / name) for name in ("a", "b", "c")]
    found = json.loads(hft_here("compare", *runs, "--json").out)
    assert [(one["run"], one["against"]) for one in found["differences"]] == [(1, 0), (2, 0), (2, 1)]
    assert all("no longer has" in one["why"] for one in found["differences"])
    assert found["recipes"] == []
    told = hft_here("compare", *runs, "--metric", "f1", "--html", tmp_path / "new" / "page.html")
    assert told.code == 0, told.err
    assert "not paired" in told.out
    page = (tmp_path / "new" / "page.html").read_text("utf-8")
    assert "f1 on test" in page
    assert "no longer has" in page


@pytest.mark.slow
def test_two_runs_of_one_store(project: Any, hft_here: Callable[..., Any]) -> None:
    from hft_core.evidence.comparison import compare_crossed, pseudo_values
    from hft_plugins.metrics.classification import F1

    project.recipe["stages"] = project.recipe["stages"][1:]
    del project.recipe["data"]["corpus"]
    project.recipe["evaluate"] = {"metrics": [{"type": "accuracy"}, {"type": "f1", "name": "macro"}], "best": "macro"}
    first = project.run("name=短", "stages.0.epochs=1")
    second = project.run("name=long", "stages.0.epochs=3")
    found = json.loads(hft_here("compare", first.folder, second.folder, "--json").out)
    assert (found["metric"], found["split"], found["rows"]) == ("macro", "test", 60)
    assert found["recipes"] == [{"place": "stages.0.epochs", "values": [1, 3]}]
    (entry,) = found["differences"]
    figures = [run["metrics"]["test"]["macro"]["value"] for run in found["runs"]]
    assert entry["difference"] == pytest.approx(figures[1] - figures[0])
    assert entry["low"] <= entry["difference"] <= entry["high"]
    assert entry["adjusted"] == entry["p"]
    assert all(run["cost"]["stages"] == 1 and run["cost"]["cpu_seconds"] > 0 for run in found["runs"])

    # By hand: the statistics of the same rows, in the store under the keys that the runs name.
    import numpy as np

    values = []
    for run in (first, second):
        note = json.loads((run.folder / "run.json").read_text("utf-8"))
        folder = Path(note["store"]) / "objects" / note["nodes"]["evaluate"]["key"]
        facts = json.loads((folder / "facts.json").read_text("utf-8"))
        values.append(pseudo_values(F1(type="f1"), np.load(folder / "test.1.npy"), facts)[None])
    assert entry["p"] == pytest.approx(compare_crossed(*values, 60).p_two_sided)

    told = hft_here("compare", first.folder, second.folder, "--html", project.folder / "page.html")
    assert "stages.0.epochs: 1 | 3" in told.out
    assert f"2 less 1  {entry['difference']:+.4f}" in told.out
    page = (project.folder / "page.html").read_text("utf-8")
    assert "短" in page
    assert "<script" not in page

    # `hft report` writes the same files again.
    before = {name: (first.folder / name).read_bytes() for name in ("report.html", "README.md")}
    for name in before:
        (first.folder / name).unlink()
    again = hft_here("report", first.folder)
    assert again.code == 0, again.err
    assert {name: (first.folder / name).read_bytes() for name in before} == before
    said = json.loads(hft_here("report", first.folder, "--json").out)
    assert said["metrics"]["test"]["macro"] == figures[0]
    assert Path(said["report"]).is_file()
