from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hft_core import DamagedError, DataError, RecipeError
from hft_core.cli.predict import command as predict
from hft_core.cli.verify import command as verify

from .conftest import LABELS


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(predict, [str(argument) for argument in arguments], input=stdin)


def objects(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout_bytes.decode("utf-8").splitlines()]


def test_texts(bundle_folder: Path) -> None:
    result = run(bundle_folder, "good", "好吃")
    assert result.exit_code == 0
    assert [one["label"] in LABELS for one in objects(result)] == [True, True]
    assert "一般" in result.stdout_bytes.decode("utf-8")  # Chinese as Chinese


def test_standard_input_line_by_line_null_and_empty_included(bundle_folder: Path) -> None:
    result = run(bundle_folder, "-", stdin="好吃\n\nbad\x00bad\n".encode())
    assert result.exit_code == 0
    assert len(objects(result)) == 3


def test_csv_rows_a_bad_one_is_named_and_the_others_answered(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    content = 'id,review\n1,好吃\n2,"two\nlines, good"\n3,a,b\n'.encode() + b"4,\xff\n" + b"5,good\n"
    file.write_bytes(content)
    result = run(bundle_folder, "--file", file)
    assert isinstance(result.exception, DataError)
    assert "line 5: it has 3 fields" in str(result.exception)
    assert "line 6: it is not UTF-8" in str(result.exception)
    answers = objects(result)
    assert [one.get("id") for one in answers] == ["1", "2", None, None, "5"]
    assert ["error" in one for one in answers] == [False, False, True, True, False]


def test_jsonl_rows(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(
        '\ufeff{"review": "好", "n": 1}\n{"review"\n\n{"review": null}\n"bad"\n{"review": "\\ud800", "s": "\\udc00"}\n',
        "utf-8",
    )
    result = run(bundle_folder, "--file", file)
    assert isinstance(result.exception, DataError)
    assert "2 rows could not be answered" in str(result.exception)
    assert "line 2: it is not JSON" in str(result.exception)
    assert "line 4: the column 'review' is null" in str(result.exception)
    answers = objects(result)
    assert len(answers) == 5
    assert answers[0]["n"] == 1
    assert answers[4]["s"] == "\udc00"


def test_any_delimiter_and_one_message_for_a_file_that_does_not_fit(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    for delimiter in ",;\t|":
        file.write_text(f"id{delimiter}review\n1{delimiter}好吃\n", encoding="utf-8")
        assert [answer["review"] for answer in objects(run(bundle_folder, "--file", file))] == ["好吃"]
    file.write_text("id;comment\n1;a\n2;b\n", encoding="utf-8")
    result = run(bundle_folder, "--file", file)
    assert "has no column 'review', which this model reads; it has id, comment" in str(result.exception)
    for encoding, word in (("gb18030", "GB18030"), ("utf-16", "UTF-16")):
        file.write_bytes(("review\n" + "味道很好\n" * 30).encode(encoding))
        result = run(bundle_folder, "--file", file)
        assert isinstance(result.exception, DataError)
        assert str(result.exception).count("convert it first") == 1
        assert word in str(result.exception)
        assert not result.stdout


def test_csv_output(bundle_folder: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    file.write_text("id,review\n1,好吃\n2\n", encoding="utf-8")
    assert isinstance(run(bundle_folder, "--file", file, "--out", out).exception, DataError)
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert list(rows[0]) == ["review", "id", "label", "score", "scores", "line", "error"]
    assert rows[0]["id"] == "1"
    assert set(json.loads(rows[0]["scores"])) == set(LABELS)
    assert "1 fields" in rows[1]["error"]


def test_table_output(bundle_folder: Path) -> None:
    result = run(bundle_folder, "good", "--format", "table")
    assert "label" in result.stdout
    assert "score" in result.stdout


def test_neither_or_both_inputs_are_refused(bundle_folder: Path) -> None:
    assert isinstance(run(bundle_folder).exception, RecipeError)
    assert isinstance(run(bundle_folder, "good", "--file", "x.csv").exception, RecipeError)


def test_a_missing_file_and_an_empty_one_are_errors(bundle_folder: Path, tmp_path: Path) -> None:
    assert isinstance(run(bundle_folder, "--file", tmp_path / "none.csv").exception, DataError)
    (tmp_path / "empty.csv").touch()
    assert isinstance(run(bundle_folder, "--file", tmp_path / "empty.csv").exception, DataError)


def test_verify(bundle_folder: Path) -> None:
    result = CliRunner().invoke(verify, [str(bundle_folder)])
    assert result.exit_code == 0
    assert "5 golden rows" in result.stdout
    result = CliRunner().invoke(verify, [str(bundle_folder), "--json"])
    assert json.loads(result.stdout)["fp32"]["rows"] == 5


@pytest.mark.parametrize("name", ["golden.jsonl", "onnx/model.onnx_data"])
def test_verify_finds_a_change(bundle_folder: Path, name: str) -> None:
    content = bytearray((bundle_folder / name).read_bytes())
    content[10] ^= 4
    (bundle_folder / name).write_bytes(content)
    assert isinstance(CliRunner().invoke(verify, [str(bundle_folder)]).exception, DamagedError)
