"""`leakage` under `prepare`: rows of train that stand in validation or test, or nearly so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core.data.prepare import prepare_held_out, prepare_train
from hft_core.data.prepared import Prepared
from hft_core.data.table import read_all
from hft_core.errors import DataError
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.text_classification.task import TextClassification
from hft_plugins.token_classification.task import TokenClassification

TASK = TextClassification(type="text-classification")
LONG = "送餐很快，味道也不错，下次还会再来的，推荐给大家，包装用心，分量也足，两个人吃刚刚好"


def reader(file: Path, *rows: tuple[str, str]) -> CsvReader:
    file.write_text("\n".join(["text,label", *(f"{text},{label}" for text, label in rows)]) + "\n", encoding="utf-8")
    return CsvReader(type="csv", path=file)


def test_rows_are_dropped_from_train(tmp_path: Path) -> None:
    train = reader(
        tmp_path / "a.csv", ("Good film", "1"), (LONG, "1"), ("坏电影", "0"), ("another one", "0"), ("一般", "1")
    )
    test = reader(tmp_path / "b.csv", (f"{LONG}！", "1"), ("坏电影", "1"))
    dev = reader(tmp_path / "c.csv", ("good  FILM", "1"), ("坏电影", "0"))
    out = tmp_path / "out"
    out.mkdir()
    prepare_train(TASK, train, {}, [], out, {"validation": dev, "test": test})
    assert read_all(out / "train.arrow")["text"] == ["another one", "一般"]
    ledger = Prepared.load(out).ledger["train"]
    assert ledger["dropped"] == {"leakage: stands in validation": 2, "leakage: stands in test": 1}
    assert ledger["read"] == ledger["kept"] + 3


def test_train_that_leaks_whole_is_refused(tmp_path: Path) -> None:
    train = reader(tmp_path / "a.csv", ("good film", "1"), ("bad film", "0"))
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="is it the same file"):
        prepare_train(TASK, train, {}, [], tmp_path / "out", {"test": train})


def lists(file: Path, *tokens: str) -> JsonlReader:
    rows = [{"tokens": list(text), "tags": ["B-x", *["O"] * (len(text) - 1)]} for text in tokens]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return JsonlReader(type="jsonl", path=file)


def test_texts_that_a_task_arranges_are_compared(tmp_path: Path) -> None:
    train = lists(tmp_path / "a.jsonl", "坏电影", "一般")
    (tmp_path / "out").mkdir()
    task = TokenClassification(type="token-classification")
    prepare_train(task, train, {}, [], tmp_path / "out", {"test": lists(tmp_path / "b.jsonl", "坏电影")})
    assert read_all(tmp_path / "out" / "train.arrow")["text"] == ["一般"]


def test_a_split_in_another_form_than_train_is_read_or_refused(tmp_path: Path) -> None:
    train = lists(tmp_path / "a.jsonl", "坏电影", "一般")
    task = TokenClassification(type="token-classification").bind({"tokens": [["坏"]], "tags": [["O"]]})
    other = tmp_path / "b.jsonl"
    for name, row in (
        ("arranged", {"text": "好", "entities": []}),
        ("half", {"tokens": ["好"]}),
        ("none", {"label": 1}),
    ):
        (tmp_path / name).mkdir()
        other.write_text(json.dumps(row) + "\n", encoding="utf-8")
        reader = train.model_copy(update={"path": other})
        if name == "arranged":
            prepare_held_out(task, {"types": ["x"]}, reader, "test", [], tmp_path / name)
            assert read_all(tmp_path / name / "test.arrow")["text"] == ["好"]
        else:
            column = "tags" if name == "half" else "text"
            with pytest.raises(DataError, match=f"data.test: .*b.jsonl.* has no column '{column}'"):
                prepare_held_out(task, {"types": ["x"]}, reader, "test", [], tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["report", "drop-from-train", "fail"])
def test_the_choice_of_a_recipe(choice: str, tiny: Any, hft_here: Callable[..., Any]) -> None:
    leaking = (tiny.folder / "train.csv").read_text().splitlines()[1:4]
    with (tiny.folder / "dev.csv").open("a") as file:
        file.write("\n".join(leaking) + "\n")
    tiny.recipe["prepare"] = {"leakage": choice}
    outcome = hft_here("run", tiny.write(), cwd=tiny.folder)
    if choice == "fail":
        assert outcome.code == 3
        assert "Leakage: 3 of 23 validation rows stand in train too" in outcome.err
        assert "drop-from-train" in outcome.err
        return
    assert outcome.code == 0, outcome.err
    report = json.loads((tiny.folder / "runs" / "tiny" / "report.json").read_text("utf-8"))
    found = [check["rows"] for check in report["checks"] if check.get("code") == "leakage"]
    assert found == ([3] if choice == "report" else [0])
    [train] = [source for source in report["ledger"] if source["name"] == "train"]
    assert train["kept"] == (60 if choice == "report" else 57)
    assert train["survey"]["rows"] == train["kept"]
    page = (tiny.folder / "runs" / "tiny" / "report.html").read_text("utf-8")
    assert "What the rows look like" in page
