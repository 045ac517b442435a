"""Cross-validation: folds cover all rows of train and validation once, keep copies together, and leave the test alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hft_core import DataError
from hft_core.data.folds import Fold
from hft_core.data.prepare import prepare_train
from hft_core.data.table import ROW, read_all
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.text_classification.task import TextClassification

TASK = TextClassification(type="text-classification", text="text", label="label")


def source(file: Path, rows: list[tuple[str, str]]) -> CsvReader:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return CsvReader(type="csv", path=file)


def folds(folder: Path, train: CsvReader, validation: CsvReader | None, count: int, shares: dict[str, float]):
    found = []
    for number in range(count):
        out = folder / f"fold{number}"
        out.mkdir()
        prepare_train(TASK, train, shares, [], out, None, Fold(number, count), validation)
        assert not (out / "test.arrow").exists()
        found.append((read_all(out / "train.arrow"), read_all(out / "validation.arrow")))
    return found


def test_each_row_is_held_out_once_and_copies_stay_together(tmp_path: Path) -> None:
    rows = [(f"好 text {number}", "ab"[number % 2]) for number in range(90)]
    train = source(tmp_path / "train.csv", [*rows[:60], *[(text.upper(), label) for text, label in rows[:10]]])
    validation = source(tmp_path / "dev.csv", [*rows[60:], *rows[:5]])
    found = folds(tmp_path, train, validation, 5, {})
    held = [text.lower() for _, validation_rows in found for text in validation_rows["text"]]
    assert sorted(held) == sorted(text.lower() for text, _ in [*rows[:60], *rows[:10], *rows[60:], *rows[:5]])
    for train_rows, validation_rows in found:
        assert len(train_rows["text"]) + len(validation_rows["text"]) == 105
        assert not {text.lower() for text in train_rows["text"]} & {text.lower() for text in validation_rows["text"]}
        assert len({*train_rows[ROW], *validation_rows[ROW]}) == 105, "row numbers of the two sources do not meet"
        assert set(validation_rows["label"]) == {"a", "b"}


def test_what_is_set_aside_for_the_test_is_in_no_fold(tmp_path: Path) -> None:
    rows = [(f"text {number}", "ab"[number % 2]) for number in range(200)]
    train = source(tmp_path / "train.csv", rows)
    whole = tmp_path / "whole"
    whole.mkdir()
    shares = {"validation": 0.1, "test": 0.2}
    prepare_train(TASK, train, shares, [], whole)
    test = set(read_all(whole / "test.arrow")["text"])
    assert len(test) == 40
    for train_rows, validation_rows in folds(tmp_path, train, None, 2, shares):
        assert {*train_rows["text"], *validation_rows["text"]} == {text for text, _ in rows} - test


def test_a_class_that_is_in_one_fold_only_stays_in_training(tmp_path: Path) -> None:
    rows = [(f"text {number}", "ab"[number % 2]) for number in range(40)] + [("once", "rare")]
    train = source(tmp_path / "train.csv", rows)
    for train_rows, validation_rows in folds(tmp_path, train, source(tmp_path / "dev.csv", rows[:9]), 3, {}):
        assert "rare" in train_rows["label"]
        assert "rare" not in validation_rows["label"]


def test_too_few_rows_for_so_many_folds(tmp_path: Path) -> None:
    train = source(tmp_path / "train.csv", [("one", "a"), ("two", "b"), ("three", "a"), ("four", "b")])
    with pytest.raises(DataError, match="too few rows for 9 folds"):
        folds(tmp_path, train, source(tmp_path / "dev.csv", [("five", "a")]), 9, {})
