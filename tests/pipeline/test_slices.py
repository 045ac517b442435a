"""Slices of a run, by length, language and columns of the data; scores and perplexity in its report."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hft_core


def with_source(file: Path) -> None:
    """Add a column: where each row comes from."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["text", "label", "来源"])
        writer.writeheader()
        writer.writerows(row | {"来源": "网站" if place % 3 else "app"} for place, row in enumerate(rows))


@pytest.fixture
def sliced(project: Any) -> Any:
    for name in ("dev.csv", "test.csv"):
        with_source(project.folder / name)
    project.recipe["evaluate"] = {"metrics": [{"type": "accuracy"}, {"type": "f1"}], "slices": ["来源"]}
    return project


@pytest.mark.slow
def test_the_report_has_slices_scores_and_perplexity(sliced: Any) -> None:
    run = sliced.run()
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    slices = [one for one in report["slices"] if one["by"] == "来源"]
    assert [(one["value"], one["rows"]) for one in slices] == [("网站", 40), ("app", 20)]
    whole = report["metrics"]["test"]["accuracy"]["value"]
    assert sum(one["figure"]["value"] * one["rows"] for one in slices) == pytest.approx(whole * 60)
    assert slices[0]["rest"] == slices[1]["figure"]["value"]
    lengths = [one for one in report["slices"] if one["by"] == "length"]
    assert sum(one["rows"] for one in lengths) == 60
    assert "来源" in run.report.read_text("utf-8")

    scores = report["scores"]
    assert scores["split"] == "test"
    assert scores["rows"] == 60
    assert len(scores["ranking"]["classes"]) == 2
    assert scores["temperature"] > 0
    assert (scores["untuned"] is None) == (scores["temperature"] == 1.0)

    adapt, tune = report["stages"]
    (perplexity,) = adapt["perplexity"]
    losses = {
        point["step"]: point["validation"]["masked-lm loss"] for point in adapt["curves"] if "validation" in point
    }
    assert perplexity["before"] == pytest.approx(2.718281828459045 ** losses[0])
    assert perplexity["after"] == pytest.approx(2.718281828459045 ** losses[perplexity["step"]])
    assert tune["perplexity"] == []
    assert report["cost"]["stages"] == 2
    assert [source["name"] for source in report["sources"]] == ["train", "validation", "test", "corpus"]
    assert all(len(source["files"]) == 1 for source in report["sources"])
    assert report["lineage"][0]["what"] == report["model"]


def test_a_column_that_is_not_there_is_named_before_anything_is_trained(sliced: Any) -> None:
    sliced.recipe["evaluate"]["slices"] = ["source"]
    with pytest.raises(hft_core.DataError, match=r"test\.csv has no column 'source', which `evaluate\.slices` names"):
        sliced.run()
    assert not list((sliced.folder / ".hft").glob("objects/*/model"))


def test_slices_change_nothing_but_the_rows_that_are_measured(sliced: Any) -> None:
    without = sliced.plan(evaluate={"metrics": [{"type": "accuracy"}, {"type": "f1"}]})
    assert sliced.plan() == without | {"slices test": sliced.plan()["slices test"]}
    del sliced.recipe["data"]["test"]
    assert "slices validation" in sliced.plan()


@pytest.mark.slow
def test_rows_that_were_split_off_keep_their_values(project: Any) -> None:
    """They stand in the file of the training rows, in which one cannot be used, and others become train."""
    with (project.folder / "train.csv").open("a", encoding="utf-8") as file:
        file.write(",neg\n")
    with_source(project.folder / "train.csv")
    del project.recipe["data"]["validation"], project.recipe["data"]["test"], project.recipe["data"]["corpus"]
    project.recipe["stages"] = project.recipe["stages"][1:]
    project.recipe["evaluate"] = {"metrics": [{"type": "accuracy"}], "slices": ["来源", "label"]}
    run = project.run("stages.0.epochs=1")
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    note = json.loads((run.folder / "run.json").read_text("utf-8"))
    from hft_core.data.table import read_all

    with (project.folder / "train.csv").open(encoding="utf-8", newline="") as stream:
        source = {row["text"]: row["来源"] for row in csv.DictReader(stream)}
    objects = Path(note["store"]) / "objects"
    rows = read_all(objects / note["nodes"]["prepare train"]["key"] / "validation.arrow")
    expected = {
        "来源": Counter(source[text] for text in rows["text"]),
        "label": Counter(rows["label"]),
    }
    for by, counts in expected.items():
        assert {one["value"]: one["rows"] for one in report["slices"] if one["by"] == by} == counts
    again = project.plan("stages.0.epochs=1", evaluate={"metrics": [{"type": "accuracy"}]})
    assert again["stage tune"] == note["nodes"]["stage tune"]["key"]
