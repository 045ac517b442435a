"""`hft report` writes report and card again; `hft compare` puts runs side by side, and refuses those that cannot be compared."""

from __future__ import annotations

import json
import shutil
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


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("report.json", '{"name": "x", "metrics": {}}', "created"),
        ("report.json", '{"name": "x", "metrics": 5}', "is no report"),
        ("report.json", "[]", "is no report"),
        ("report.json", {"metrics": {"test": {"accuracy": 0.8}}}, "metrics.test.accuracy"),
        ("report.json", {"headline": 3}, "headline"),
        ("report.json", {"seeds": []}, "seeds"),
        ("report.json", {"cost": {}}, "cost.cpu_seconds"),
        ("run.json", {"store": 5}, "store"),
        ("run.json", {"nodes": {"evaluate": {"key": "a"}}}, "nodes.evaluate.parts"),
        ("run.json", {"nodes": {"evaluate": {"key": "a", "parts": {"kind": "evaluate", "settings": {}}}}}, "'task'"),
        ("run.json", "5", "is damaged"),
        ("run.json", None, "has no run.json"),
    ],
)
def test_damaged_runs_are_named(
    tmp_path: Path, hft_here: Callable[..., Any], file: str, content: dict[str, Any] | str | None, said: str
) -> None:
    first, second = fake(tmp_path / "a"), fake(tmp_path / "b")
    if content is None:
        (second / file).unlink()
    elif isinstance(content, str):
        (second / file).write_text(content, encoding="utf-8")
    else:
        (second / file).write_text(json.dumps(json.loads((second / file).read_text("utf-8")) | content))
    found = hft_here("compare", first, second)
    assert found.code == 9, found.err
    assert str(second) in found.err
    assert said in found.err


def test_a_page_that_cannot_be_written_is_an_error_with_its_place(tmp_path: Path, hft_here: Callable[..., Any]) -> None:
    runs = [fake(tmp_path / name) for name in "ab"]
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "page.html", Path("/proc/page.html")):
        found = hft_here("compare", *runs, "--html", place)
        assert (found.code, f"{place} cannot be written" in found.err) == (7, True), found.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b", "file"], "nothing is left aside"


def measured(
    folder: Path, errors: list[float], task: str = "regression", digest: str = "abc", name: str = "main", **metric: Any
) -> Path:
    """A run whose store has what each row came to, by an absolute error that decides nothing."""
    import numpy as np

    figures = {"value": sum(errors) / len(errors), "low": 0.0, "high": 9.0}
    report: dict[str, Any] = {"headline": {"split": "test", "metric": "pearson", "greater_is_better": True}}
    report |= {"task": task, "metrics": {"test": {"pearson": figures, "mae": figures, "mae[far]": figures}}}
    report["measured"] = {"test": {"rows": len(errors), "digest": digest}}
    fake(folder, **report)
    kept = folder / "store" / "objects" / "key"
    kept.mkdir(parents=True)
    np.save(kept / "test.1.npy", np.stack([np.array(errors), np.ones(len(errors))], axis=1))
    (kept / "facts.json").write_text("{}", encoding="utf-8")
    (kept / "test.json").write_text(json.dumps({"rows": len(errors), "digest": digest}), encoding="utf-8")
    (kept / "MANIFEST.json").write_text("{}", encoding="utf-8")
    note = json.loads((folder / "run.json").read_text("utf-8"))
    metrics = [{"type": "pearson", "name": "pearson"}, {"type": "mae", "name": "mae"} | metric]
    settings = {"task": [name, {"type": task}], "metrics": metrics}
    note["nodes"] = {"evaluate": {"key": "key", "parts": {"kind": "evaluate", "settings": settings}}}
    (folder / "run.json").write_text(json.dumps(note), encoding="utf-8")
    return folder


def test_without_the_store_there_is_no_pairing_and_it_is_said(tmp_path: Path, hft_here: Callable[..., Any]) -> None:
    runs = [measured(tmp_path / name, [1.0, 2.0]) for name in ("a", "b", "c")]
    for run in runs:
        shutil.rmtree(run / "store")
    found = json.loads(hft_here("compare", *runs, "--json").out)
    assert [(one["run"], one["against"]) for one in found["differences"]] == [(1, 0), (2, 0), (2, 1)]
    assert all("no longer has" in one["why"] for one in found["differences"])
    assert found["recipes"] == []
    told = hft_here("compare", *runs, "--metric", "mae", "--html", tmp_path / "new" / "page.html")
    assert told.code == 0, told.err
    assert "not paired" in told.out
    page = (tmp_path / "new" / "page.html").read_text("utf-8")
    assert "mae on test (less is better)" in page
    assert "no longer has" in page
    unknown = [fake(tmp_path / name) for name in ("d", "e")]
    told = json.loads(hft_here("compare", *unknown, "--metric", "f1", "--json").out)
    assert "does not say by which metric f1 was measured" in told["differences"][0]["why"]
    assert told["greater_is_better"] is None


def test_a_figure_that_decides_nothing_improves_as_its_metric_says(
    tmp_path: Path, hft_here: Callable[..., Any]
) -> None:
    """The absolute error falls by 1 on each row."""
    runs = [measured(tmp_path / "a", [1.0, 2.0, 3.0, 2.5]), measured(tmp_path / "b", [0.0, 1.0, 2.0, 1.4])]
    found = json.loads(hft_here("compare", *runs, "--metric", "mae", "--json").out)
    assert found["greater_is_better"] is False
    (entry,) = found["differences"]
    assert entry["difference"] == pytest.approx(-1.025)
    assert entry["low"] <= entry["difference"] <= entry["high"] < 0
    assert "mae on test (less is better)" in hft_here("compare", *runs, "--metric", "mae").out
    told = json.loads(hft_here("compare", *runs, "--metric", "mae[far]", "--json").out)
    assert told["greater_is_better"] is False
    assert told["differences"][0]["why"] == "mae[far] is a detail of mae; only a metric's main figure can be paired"


def test_tasks_that_answer_in_the_same_form_are_compared(tmp_path: Path, hft_here: Callable[..., Any]) -> None:
    first = measured(tmp_path / "a", [1.0, 2.0, 3.0])
    alike = measured(tmp_path / "b", [1.0, 2.0, 4.0], task="sentence-similarity")
    found = json.loads(hft_here("compare", first, alike, "--metric", "mae", "--json").out)
    assert found["task"] == "regression, sentence-similarity"
    assert found["differences"][0]["difference"] == pytest.approx(1 / 3)
    for other, code, said in (
        (measured(tmp_path / "c", [1.0, 2.0, 4.0], task="text-classification"), 2, "answer in the same form"),
        (measured(tmp_path / "d", [1.0, 2.0, 4.0], digest="else"), 3, "other rows of test"),
        (measured(tmp_path / "e", [1.0, 2.0, 4.0], type="mse"), 2, "mae was measured with other settings"),
    ):
        refused = hft_here("compare", first, other, "--metric", "mae")
        assert (refused.code, said in refused.err) == (code, True), refused.err


def test_a_report_is_written_whole_or_not_at_all(
    tmp_path: Path, hft_here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hft_core.report import card, html

    run = fake(tmp_path / "a")
    (run / "report.html").write_text("as before", encoding="utf-8")
    monkeypatch.setattr(html, "render", lambda content: "new \ud800")  # it cannot be encoded: an end in the middle
    monkeypatch.setattr(card, "render_card", lambda content: "new")
    assert hft_here("report", run).code != 0
    assert (run / "report.html").read_text("utf-8") == "as before"
    assert sorted(file.name for file in run.iterdir()) == ["report.html", "report.json", "run.json"]
    monkeypatch.setattr(html, "render", lambda content: "new")
    (run / "README.md").mkdir()
    refused = hft_here("report", run)
    assert (refused.code, "README.md cannot be written" in refused.err) == (7, True), refused.err
    (run / "run.json").write_text("5", encoding="utf-8")
    assert hft_here("report", run).code == 9


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
