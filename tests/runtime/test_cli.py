from __future__ import annotations

import csv
import io
import json
import os
import threading
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hft_core import DamagedError, DataError, PluginError, RecipeError
from hft_core.cli.predict import command as predict
from hft_core.cli.progress import progress
from hft_core.cli.rows import File, Form
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
    assert "line 5: it has 3 fields instead of 2" in str(result.exception)
    assert "line 6: it is not UTF-8" in str(result.exception)
    answers = objects(result)
    assert [one.get("id") for one in answers] == ["1", "2", None, None, "5"]
    assert ["error" in one for one in answers] == [False, False, True, True, False]


def test_jsonl_rows(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(
        '\ufeff{"review": "好", "n": 1, "x": NaN}\n{"review"\n\n{"review": null}\n"bad"\n{"review": "\\ud800", "s": "\\udc00"}\n',
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
    assert answers[0]["x"] is None  # what is written is JSON
    assert answers[4]["s"] == "\udc00"


def test_any_delimiter_and_one_message_for_a_file_that_does_not_fit(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    for delimiter in ",;\t|":
        file.write_text(f"id{delimiter}review\n1{delimiter}好吃\n", encoding="utf-8")
        assert [answer["review"] for answer in objects(run(bundle_folder, "--file", file))] == ["好吃"]
    file.write_text("id;comment\n1;a\n2;b\n", encoding="utf-8")
    result = run(bundle_folder, "--file", file)
    assert "has no column 'review', which this model reads; it has id, comment" in str(result.exception)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("gb18030", "味道很好，我们还会再来的"),
        ("windows-1252", "très bonne idée, déjà goûtée"),
        ("utf-16", "好 and bad"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_encodings_are_found(encoding: str, text: str, kind: str, bundle_folder: Path, tmp_path: Path) -> None:
    lines = [f"{text} {place}" for place in range(20)]
    head = ["review"] if kind == "csv" else []
    file = tmp_path / f"rows.{kind}"
    file.write_bytes("\n".join([*head, *(f'"{line}"' if kind == "csv" else line for line in lines)]).encode(encoding))
    found = objects(run(bundle_folder, "--file", file))
    assert [answer["review"] for answer in found] == lines
    assert all("label" in answer for answer in found)


def test_a_line_that_is_not_of_the_files_encoding(bundle_folder: Path, tmp_path: Path) -> None:
    lines = [f"这个东西很好，我们都要了 {place}".encode("gb18030") for place in range(30)]
    lines[7] = b"\xff\xff broken"
    (tmp_path / "rows.txt").write_bytes(b"\n".join(lines))
    result = run(bundle_folder, "--file", tmp_path / "rows.txt")
    assert "line 8: it is not GB18030" in str(result.exception)
    assert sum("label" in answer for answer in objects(result)) == 29


def test_half_a_character_of_two_bytes(bundle_folder: Path, tmp_path: Path) -> None:
    lines = [f"好 and bad {place}" for place in range(5)]
    content = "\n".join(lines).encode("utf-16-le").replace("2".encode("utf-16-le"), b"\x00\xd8")
    (tmp_path / "rows.txt").write_bytes(b"\xff\xfe" + content + b"x")
    result = run(bundle_folder, "--file", tmp_path / "rows.txt")
    assert "line 3: it is not UTF-16" in str(result.exception)
    assert "line 5: it is not UTF-16" in str(result.exception)
    assert ["label" in answer for answer in objects(result)] == [True, True, False, True, False]


def test_excels_own_line_names_the_divider(bundle_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("sep=;\nid;review\n1;好吃, really\n2;a;b\n", encoding="utf-8")
    result = run(bundle_folder, "--file", tmp_path / "rows.csv")
    assert objects(result)[0]["review"] == "好吃, really"
    assert "line 4: it has 3 fields" in str(result.exception)


def test_an_excel_workbook_is_told(bundle_folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "rows.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    assert "an Excel workbook" in str(run(bundle_folder, "--file", tmp_path / "rows.xlsx").exception)


def test_a_null_byte_is_no_other_encoding(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes("id,review\n1,好\x00吃\n2,bad\n".encode())
    assert [answer["review"] for answer in objects(run(bundle_folder, "--file", file))] == ["好\x00吃", "bad"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_from_its_beginning(bundle_folder: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    content = "review\n" + "".join(f"row {number}\n" for number in range(50))
    writer = threading.Thread(target=pipe.write_text, args=(content,), daemon=True)
    writer.start()
    answers = objects(run(bundle_folder, "--file", pipe))
    writer.join()
    assert [answer["review"] for answer in answers] == [f"row {number}" for number in range(50)]


def test_standard_input_holds_what_rows_says(bundle_folder: Path) -> None:
    answers = objects(run(bundle_folder, "-", "--rows", "csv", stdin='\ufeffid,review\n1,好吃\n2,"a\nb"\n'.encode()))
    assert [(one["id"], one["review"]) for one in answers] == [("1", "好吃"), ("2", "a\nb")]
    answers = objects(run(bundle_folder, "-", "--rows", "jsonl", stdin='{"review": "好", "n": 1}\n"bad"\n'.encode()))
    assert [(one.get("n"), one["review"]) for one in answers] == [(1, "好"), (None, "bad")]
    result = run(bundle_folder, "-", "--rows", "csv", stdin=b"a,b\n1,2\n")
    assert isinstance(result.exception, DataError)
    assert "standard input has no column 'review'" in str(result.exception)
    assert isinstance(run(bundle_folder, "good", "--rows", "csv").exception, RecipeError)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_file_without_a_header(bundle_folder: Path, tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"1{delimiter}好吃\n2{delimiter}bad\n3\n", encoding="utf-8")
    result = run(bundle_folder, "--file", file, "--columns", "id, review")
    assert [(one.get("id"), one.get("review")) for one in objects(result)] == [
        ("1", "好吃"),
        ("2", "bad"),
        (None, None),
    ]
    assert "line 3: it has 1 fields instead of 2" in str(result.exception)


def test_a_file_without_a_header_of_one_column(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("good, really good\nbad\n", encoding="utf-8")
    result = run(bundle_folder, "--file", file, "--columns", "review")
    assert [one["review"] for one in objects(result)] == ["good, really good", "bad"]
    result = run(bundle_folder, "--file", file)
    assert "name its columns with --columns" in str(result.exception)
    result = run(bundle_folder, "--file", file, "--columns", "text")
    assert "no column 'review'" in str(result.exception)
    file.write_text("", encoding="utf-8")
    assert "is empty" in str(run(bundle_folder, "--file", file, "--columns", "review").exception)
    lines = tmp_path / "rows.txt"
    lines.write_text("good\n", encoding="utf-8")
    assert isinstance(run(bundle_folder, "--file", lines, "--columns", "review").exception, RecipeError)


def test_two_columns_of_the_name_that_is_read(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("review,note,review\na,b,c\n", encoding="utf-8")
    assert "two columns 'review'" in str(run(bundle_folder, "--file", file).exception)


def test_what_is_read_is_not_written_over(bundle_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("review\ngood\n", encoding="utf-8")
    assert isinstance(run(bundle_folder, "--file", file, "--out", file).exception, RecipeError)
    assert file.read_text("utf-8") == "review\ngood\n"


def test_csv_output_of_a_file_that_begins_with_bad_rows(bundle_folder: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.csv"
    file.write_text("{\n" * 1500 + '{"review": "好吃", "id": 3}\n', encoding="utf-8")
    assert isinstance(run(bundle_folder, "--file", file, "--out", out).exception, DataError)
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))
    assert len(rows) == 1501
    assert (rows[-1]["review"], rows[-1]["id"], rows[-1]["error"]) == ("好吃", "3", "")
    assert "not JSON" in rows[0]["error"]
    file.write_text("{\n", encoding="utf-8")
    assert isinstance(run(bundle_folder, "--file", file, "--out", out).exception, DataError)
    assert out.read_text("utf-8").startswith("line,error\n1,it is not JSON")


def test_a_bar_follows_a_file(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes standard error for a terminal
    file = tmp_path / "rows.txt"
    file.write_text("good\n" * 3000, encoding="utf-8")
    source = File(file, Form("text"))
    assert source.bytes == 15_000
    with progress(source) as shown:
        for _ in source:
            pass
        assert source.position == 15_000
        shown(3000)
    assert "3,000 rows" in capsys.readouterr().err
    with progress(None) as shown:
        shown(3000)
    assert capsys.readouterr().err == ""


def test_a_file_that_is_written_is_told(bundle_folder: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "rows.txt", tmp_path / "out.jsonl"
    file.write_text("good\n好吃\n", encoding="utf-8")
    outcome = run(bundle_folder, "--file", file, "--out", out)
    assert outcome.exit_code == 0
    assert outcome.stdout == ""
    assert outcome.stderr == f"{out}: 2 rows\n"


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


def test_a_file_in_the_place_of_a_text_is_noted(bundle_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\ngood\n", encoding="utf-8")
    result = run(bundle_folder, tmp_path / "rows.csv", "这家餐厅的味道很好，" * 30)
    assert result.exit_code == 0
    assert len(objects(result)) == 2
    assert "rows.csv is taken as a text, and is a file here" in result.stderr
    forgotten = run("a great film").exception
    assert "'a great film' was taken for the bundle" in str(forgotten)
    assert "was taken for the bundle" in str(run("这家餐厅的味道很好，" * 30).exception)


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
    result = CliRunner().invoke(verify, [str(bundle_folder), "--threads", "1", "--provider", "cpu"])
    assert "CPUExecutionProvider" in result.stdout
    assert isinstance(CliRunner().invoke(verify, [str(bundle_folder), "--provider", "x"]).exception, PluginError)
    assert isinstance(run(bundle_folder, "good", "--provider", "cpu", "--provider", "x").exception, PluginError)


@pytest.mark.parametrize("name", ["golden.jsonl", "onnx/model.onnx_data"])
def test_verify_finds_a_change(bundle_folder: Path, name: str) -> None:
    content = bytearray((bundle_folder / name).read_bytes())
    content[10] ^= 4
    (bundle_folder / name).write_bytes(content)
    assert isinstance(CliRunner().invoke(verify, [str(bundle_folder)]).exception, DamagedError)
