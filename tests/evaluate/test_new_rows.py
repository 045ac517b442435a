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
    assert "the run's own:" in told.out


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
        (("BUNDLE", "NEW", "--slice", "town"), 3, "has no column 'town'"),
        (("BUNDLE", "NEW", "--task", "other"), 2, "the bundle has no task 'other'"),
        (("BUNDLE", "{type: csw, path: new.csv}"), 2, "did you mean 'csv'"),
        (("BUNDLE", "{type: csv, pth: new.csv}"), 2, "pth"),
        (("nowhere", "NEW"), 2, "there is no folder nowhere"),
        (("BUNDLE", "OTHER"), 3, "has no column 'review'"),
        (("BUNDLE", "STRANGE"), 3, "the model knows none of their labels"),
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
    names = {
        "BUNDLE": exported, "NEW": new_rows, "OTHER": tmp_path / "other.csv", "STRANGE": tmp_path / "strange.csv",
    }  # fmt: skip
    outcome = hft_here("evaluate", *(names.get(argument, argument) for argument in arguments))
    assert outcome.code == code, outcome
    assert expected in outcome.err
    assert "Traceback" not in outcome.err
