"""`hft evaluate`: a bundle on labelled rows that it has never seen; without torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEAVY = "torch", "transformers", "accelerate"


@pytest.fixture
def new_rows(reviews: Any, write_csv: Any, tmp_path: Path) -> Path:
    """40 rows with a column beside text and label."""
    rows = [row | {"shop": ("北京", "Paris")[number % 2]} for number, row in enumerate(reviews(40, seed=9))]
    return write_csv(tmp_path / "new.csv", rows)  # type: ignore[no-any-return]


def evaluated(hft_here: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    outcome = hft_here("evaluate", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)  # type: ignore[no-any-return]


def test_figures_are_those_of_the_predictions(exported: Path, new_rows: Path, hft_here: Callable[..., Any]) -> None:
    found = evaluated(hft_here, exported, new_rows, "--slice", "shop")
    from hft_core.runtime import load

    lines = [line.split(",") for line in new_rows.read_text("utf-8").splitlines()[1:]]
    predicted = load(exported).predict([text for text, *_ in lines])
    right = [one["label"] == label for one, (_, label, _) in zip(predicted, lines, strict=True)]
    accuracy = found["figures"]["accuracy"]
    assert accuracy["value"] == pytest.approx(sum(right) / 40)
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert found["rows"] == 40
    assert found["left_out"] == {"unreadable": {}, "unknown_labels": {}, "not_answered": 0}
    by_shop = {one["value"]: one for one in found["slices"] if one["by"] == "shop"}
    assert by_shop["北京"]["figure"]["value"] == pytest.approx(sum(right[::2]) / 20)
    assert {one["by"] for one in found["slices"]} == {"shop", "length"}
    assert 0 <= found["scores"]["calibration"]["ece"] <= 1


def test_drift_against_the_runs_training_rows(exported: Path, new_rows: Path, hft_here: Callable[..., Any]) -> None:
    """All new rows longer, of one label, in another script."""
    lines = new_rows.read_text("utf-8").splitlines()
    odd = [f"{line.split(',')[0]} {'量' * 80},pos,Paris" for line in lines[1:]]
    new_rows.write_text("\n".join([lines[0], *odd]) + "\n", encoding="utf-8")
    found = evaluated(hft_here, exported.parent, new_rows)
    drift = found["drift"]
    assert drift["lengths"]["beyond"] == 1.0 > drift["lengths"]["by_chance"]
    assert drift["lengths"]["new"]["median"] > drift["lengths"]["trained"]["median"] + 70
    assert drift["labels"]["distance"] == pytest.approx(0.5, abs=0.05)
    assert drift["labels"]["distance"] > drift["labels"]["by_chance"]
    assert drift["unknown"]["new"] > drift["unknown"]["trained"]
    assert found["before"]["accuracy"]["value"] >= 0
    told = hft_here("evaluate", exported.parent, new_rows)
    assert "are longer than 95 % of the training texts, more than chance would show" in told.out
    assert "the run's own on validation:" in told.out


def test_a_bundle_alone_knows_less(
    exported: Path, new_rows: Path, hft_here: Callable[..., Any], tmp_path: Path
) -> None:
    alone = Path(shutil.copytree(exported, tmp_path / "alone" / "copied"))
    found = evaluated(hft_here, alone, new_rows)
    assert found["before"] == {}
    assert found["drift"]["lengths"]["trained"] is None
    assert found["drift"]["labels"]["distance"] < 0.1, "its facts have how many rows of each label there were"
    assert "not known to a bundle without its run" in hft_here("evaluate", alone, new_rows).out


def test_labels_that_training_lacked_are_left_out_and_told(
    exported: Path, new_rows: Path, hft_here: Callable[..., Any]
) -> None:
    whole = evaluated(hft_here, exported, new_rows)
    with new_rows.open("a", encoding="utf-8") as file:
        file.write("so so,中,Paris\nnothing,,Paris\n,pos,Paris\n")
    found = evaluated(hft_here, exported, new_rows)
    assert found["figures"] == whole["figures"]
    assert found["left_out"]["unknown_labels"] == {"中": 1}
    assert sum(found["left_out"]["unreadable"].values()) == 2
    assert "2 unreadable, with labels that training lacked: '中' (1)" in hft_here("evaluate", exported, new_rows).out


def test_without_torch(exported: Path, new_rows: Path, hft: Callable[..., Any], tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    for name in HEAVY:
        (blocked / name).mkdir(parents=True)
        (blocked / name / "__init__.py").write_text(f"raise ImportError('{name} is blocked')\n", encoding="utf-8")
    outcome = hft("evaluate", exported, new_rows, PYTHONPATH=str(blocked))
    assert outcome.code == 0, outcome.err
    assert "40 rows of" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("BUNDLE", "none.csv"), 3, "none.csv"),
        (("BUNDLE", "NEW", "--slice", "town"), 3, "has no column 'town', which --slice names; its columns are"),
        (("BUNDLE", "NEW", "--task", "other"), 2, "the bundle has no task 'other'"),
        (("BUNDLE", "{type: csw, path: new.csv}"), 2, "did you mean 'csv'"),
        (("BUNDLE", "{type: csv, pth: new.csv}"), 2, "pth"),
        (("nowhere", "NEW"), 2, "there is no folder nowhere"),
        (("BUNDLE", "OTHER"), 3, "other.csv has no column 'review', which the bundle's task reads"),
        (("BUNDLE", "STRANGE"), 3, "none of 2 rows can be measured; the model knows none of their labels"),
        (("BUNDLE", "ONE"), 3, "none of 1 row can be measured"),
        (("BUNDLE", "NEW", "--precision", "int4"), 2, "has no precision 'int4'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input(
    exported: Path,
    new_rows: Path,
    hft_here: Callable[..., Any],
    tmp_path: Path,
    arguments: Any,
    code: int,
    expected: str,
) -> None:
    (tmp_path / "other.csv").write_text("text,mood\nhello,neg\n", encoding="utf-8")
    (tmp_path / "strange.csv").write_text("review,sentiment\nhello,x\nyou,y\n", encoding="utf-8")
    (tmp_path / "one.csv").write_text("review,sentiment\nhello,x\n", encoding="utf-8")
    names = {
        "BUNDLE": exported, "NEW": new_rows, "OTHER": tmp_path / "other.csv", "STRANGE": tmp_path / "strange.csv",
        "ONE": tmp_path / "one.csv",
    }  # fmt: skip
    outcome = hft_here("evaluate", *(names.get(argument, argument) for argument in arguments))
    assert outcome.code == code, outcome
    assert expected in outcome.err
    assert "Traceback" not in outcome.err
    for of_recipes in ("data.evaluate", "splits"):
        assert of_recipes not in outcome.err


def test_a_task_is_judged_by_the_metrics_that_measure_it_and_by_its_own_figures(tmp_path: Path) -> None:
    """Of a bundle with a classification and a regression; the model that ships is the one of the second seed."""
    from types import SimpleNamespace
    from typing import cast

    from hft_core.evidence.new_rows import judge_of
    from hft_core.registry import load_registry
    from hft_core.runtime.bundle import Bundle

    metrics = [{"type": "accuracy"}, {"type": "mae"}, {"type": "f1"}]
    figures = {"value": 0.7, "low": 0.6, "high": 0.8, "sd": 0.1, "shipped": 0.75}
    report = {
        "headline": {"split": "test", "metric": "a.f1", "greater_is_better": True},
        "headlines": [{"split": "test", "metric": "a.f1"}, {"split": "validation", "metric": "b.mae"}],
        "metrics": {"validation": {"a.accuracy": figures, "b.mae": figures}, "test": {"a.accuracy": figures}},
    }
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    (tmp_path / "run.json").write_text(json.dumps({"recipe": {"evaluate": {"metrics": metrics}}}), encoding="utf-8")
    tasks = {
        "a": {"type": "text-classification", "settings": {"text": "t", "label": "l"}, "facts": {}},
        "b": {"type": "regression", "settings": {"text": "t", "target": "y"}, "facts": {}},
    }
    bundle = cast(Bundle, SimpleNamespace(description={"tasks": tasks}, folder=tmp_path / "onnx"))
    judges = {name: judge_of(bundle, load_registry([]), name) for name in tasks}
    assert {name: [metric.title for metric in judge.metrics] for name, judge in judges.items()} == {
        "a": ["accuracy", "f1"],
        "b": ["mae"],
    }
    assert judges["a"].deciding is judges["a"].metrics[1], "f1 decided in the run"
    assert judges["b"].deciding is judges["b"].metrics[0]
    assert (judges["a"].before_split, judges["a"].before) == ("test", {"accuracy": figures})
    assert (judges["b"].before_split, judges["b"].before) == ("validation", {"mae": figures})


def test_the_runs_figure_is_that_of_the_seed_that_ships() -> None:
    from hft_core.cli.evaluate import _told

    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    found = {
        "rows": 1, "data": "new.csv", "left_out": {"unreadable": {}, "unknown_labels": {}, "not_answered": 0},
        "figures": {"accuracy": figure, "f1": figure},
        "before": {"accuracy": figure | {"value": 0.7, "shipped": 0.75}, "f1": figure}, "before_split": "test",
        "scores": None, "slices": [], "headline": "accuracy", "not_measured": ["perplexity"],
        "drift": {"lengths": {"trained": None}, "unknown": None, "labels": None},
    }  # fmt: skip
    told = _told(found, Path("bundle"))
    assert "not measured, a bundle gives no numbers for it: perplexity" in told
    assert told.startswith("1 row of new.csv")
    assert "accuracy                0.5000  (0.4000 … 0.6000)   the run's own on test: 0.7500" in told
    assert "the run's own on test: 0.5000" in told
