"""Data files that cannot be used, or only in part: exit code 3, or every row accounted for."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEADER = "review,sentiment\n"
ROWS = "".join(f"this is text number {n},{'pos' if n % 2 else 'neg'}\n" for n in range(60))


def prepared(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The ledger and the quarantine of a run that got as far as preparation."""
    ledger: dict[str, Any] = {}
    lines: list[str] = []
    for file in (folder.parent / "store" / "objects").glob("*/prepared.json"):
        ledger |= json.loads(file.read_text("utf-8"))["ledger"]
        lines += file.with_name("quarantine.jsonl").read_text("utf-8").splitlines()
    assert "train" in ledger
    return ledger, [json.loads(line) for line in lines]


@pytest.fixture
def run(tiny: Any, hft_here: Callable[..., Any]) -> Callable[..., Any]:
    """Put content into a file of the recipe and run it; nothing that was there may be lost."""

    def go(content: str | bytes | None, name: str = "train.csv", command: str = "run") -> Any:
        if content is not None:
            (tiny.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        recipe = tiny.write()
        before = {file: file.read_bytes() for file in tiny.folder.iterdir() if file.is_file()}
        outcome = hft_here(command, recipe)
        assert {file: file.read_bytes() for file in before} == before
        return outcome

    return go


def until_preparation(tiny: Any) -> None:
    """Stop a recipe after preparation: the tokenizer that it names is none."""
    (tiny.folder / "tokenizer.json").write_text("{", encoding="utf-8")
    tiny.recipe["model"]["source"]["tokenizer"] = "tokenizer.json"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("", "the file is empty", id="empty"),
        pytest.param("\n\n \n", "the file is empty", id="blank lines"),
        pytest.param(HEADER, "nothing follows the header", id="a header only"),
        pytest.param(random.Random(0).randbytes(5000), "lines are not UTF-8 text", id="binary"),
        pytest.param(gzip.compress((HEADER + ROWS).encode(), mtime=0)[:-20], "cannot be unpacked", id="a cut archive"),
        pytest.param((HEADER + ROWS).encode("utf-16-le"), "lines are not UTF-8 text", id="UTF-16 without a mark"),
        pytest.param((HEADER + "とても美味しい,pos\n" * 30).encode("shift-jis"), "(`encoding: big5`)", id="Shift JIS"),
        pytest.param("review,review\na,b\n", "line 1: the header has 'review' twice", id="a column twice"),
        pytest.param("text,sentiment\na,pos\n", "no column 'review'", id="no text column"),
        pytest.param("review,label\na,pos\n", "no column 'sentiment'", id="no label column"),
        pytest.param(HEADER + ",pos\n" * 9, "no usable row (empty-text: 9)", id="no text"),
        pytest.param(HEADER + "a,\n" * 9, "no usable row (empty-label: 9)", id="no label"),
        pytest.param(HEADER + '"a,pos\n' * 9, "no readable row", id="no readable row"),
        pytest.param(HEADER + ROWS.replace("neg", "pos"), "needs at least two labels", id="one class only"),
        pytest.param(HEADER + "a,pos\n", "needs at least two labels", id="one row"),
        pytest.param(
            HEADER + "".join(f"text {n},{n}\n" for n in range(1200)), "1200 different values in 1200 rows", id="numbers"
        ),
    ],
)
def test_a_file_that_cannot_be_used(
    content: str | bytes, said: str, run: Callable[..., Any], refused: Callable[..., None], tiny: Any
) -> None:
    outcome = run(content)
    refused(outcome, "data", said)
    assert "train.csv" in outcome.err or "sentiment" in outcome.err or "review" in outcome.err
    assert not (tiny.folder / "runs" / "tiny").exists()


def test_a_missing_file(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    tiny.recipe["data"]["train"]["path"] = "trian.csv"
    tiny.recipe["data"]["validation"]["path"] = "nowhere/dev.csv"
    for command in ("check", "plan", "run"):
        outcome = run(None, command=command)
        refused(outcome, "data", "line 6, data.train.path: there is no file", "did you mean 'train.csv'?")
        assert "data.validation.path" in outcome.err


def test_a_folder_instead_of_a_file(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    tiny.recipe["data"]["train"]["path"] = "."
    refused(run(None), "data", "this is a folder; name a file in it")


def test_a_label_that_train_lacks(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    tiny.recipe["data"]["test"] = {"type": "csv", "path": "test.csv"}
    outcome = run(HEADER + "a text,pos\nanother,meh\nmore,meh\n", "test.csv")
    refused(outcome, "data", "data.test: column 'sentiment' has labels that the training split lacks: 'meh' (2 rows)")
    assert "it knows 'neg', 'pos'" in outcome.err


def test_splits_with_different_columns(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    outcome = run("text,sentiment\na text,pos\n", "dev.csv")
    refused(outcome, "data", "data.validation: ", "dev.csv has no column 'review'; its columns are text, sentiment")


def test_columns_beyond_the_needed_ones_may_differ(
    tiny: Any, run: Callable[..., Any], refused: Callable[..., None]
) -> None:
    until_preparation(tiny)
    run("id,review,sentiment\n" + "".join(f"{n},{row}\n" for n, row in enumerate(ROWS.splitlines())))
    ledger, _ = prepared(tiny.folder)
    assert ledger["train"]["kept"] == 60


def test_too_few_rows_to_split(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    del tiny.recipe["data"]["validation"]
    refused(run(HEADER + "a,pos\nb,neg\n"), "data", "too few rows to set some aside for validation")


def test_text_and_label_in_one_column(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    tiny.recipe["task"]["label"] = "review"
    refused(run(None), "data", "the column 'review' is read as a text and predicted too")


DIRT = [
    pytest.param(b'"this one is never closed,pos\n', "unclosed-quote", id="a quote that is not closed"),
    pytest.param(b'"a" stray quote,pos\n', "stray-quote", id="a stray quote"),
    pytest.param(b"one,field,too many\n", "wrong-field-count", id="a field too many"),
    pytest.param(b"only one\n", "wrong-field-count", id="a field too few"),
    pytest.param(b"caf\xe9 \xff au lait,pos\n", "invalid-utf8", id="invalid UTF-8"),
    pytest.param(b"nu\0l,pos\n", "nul-byte", id="NUL"),
    pytest.param(b",pos\n", "empty-text", id="no text"),
    pytest.param(b"a text,  \n", "empty-label", id="no label"),
]


@pytest.mark.parametrize(("line", "reason"), DIRT)
@pytest.mark.parametrize("position", [0, 31, 60])
def test_a_bad_row_is_counted_and_the_others_are_kept(
    line: bytes, reason: str, position: int, tiny: Any, run: Callable[..., Any]
) -> None:
    until_preparation(tiny)
    rows = ROWS.encode().splitlines(keepends=True)
    rows.insert(position, line)
    run(HEADER.encode() + b"".join(rows))
    ledger, quarantine = prepared(tiny.folder)
    assert (ledger["train"]["read"], ledger["train"]["kept"]) == (61, 60)
    assert ledger["train"]["quarantined"] == {reason: 1}
    assert ledger["validation"]["quarantined"] == {}
    [record] = quarantine
    assert (record["file"], record["line"], record["reason"]) == ("train.csv", position + 2, reason)


def test_a_quoted_field_over_several_lines_is_one_row(tiny: Any, run: Callable[..., Any]) -> None:
    until_preparation(tiny)
    run(HEADER + '"two\nlines, and a ""quote""",pos\n' + ROWS + '5" screen,neg\n')
    ledger, quarantine = prepared(tiny.folder)
    assert (ledger["train"]["read"], ledger["train"]["kept"], quarantine) == (62, 62, [])


def test_all_dirt_at_once_adds_up(tiny: Any, run: Callable[..., Any]) -> None:
    until_preparation(tiny)
    tiny.recipe["prepare"] = {"clean": [{"type": "exact-duplicates"}, {"type": "length", "maximum": 60}]}
    dirt = b"".join(bytes(case.values[0]) for case in DIRT)  # type: ignore[arg-type]  # the first value is bytes
    copies = b"this is text number 0,neg\n" * 3 + b"THIS IS text  number 1,pos\n" + b"x" * 61 + b",pos\n"
    conflict = b"torn between both,pos\ntorn between both,neg\n"
    run(HEADER.encode() + dirt + ROWS.encode() + copies + conflict)
    train = prepared(tiny.folder)[0]["train"]
    assert train["read"] == len(DIRT) + 60 + 5 + 2
    assert train["quarantined"] == {str(case.values[1]): 1 for case in DIRT} | {"wrong-field-count": 2}
    assert train["dropped"] == {
        "exact-duplicates: duplicate": 4,
        "exact-duplicates: label-conflict": 2,
        "length: too-long": 1,
    }
    assert train["kept"] == 60 == train["read"] - 8 - 7


def test_cleaners_that_leave_nothing(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    tiny.recipe["prepare"] = {"clean": [{"type": "length", "minimum": 400}]}
    refused(run(None), "data", "the cleaners dropped every row (length: too-short 60)", "prepare.clean")


def test_test_rows_are_never_dropped(tiny: Any, run: Callable[..., Any]) -> None:
    until_preparation(tiny)
    tiny.recipe["prepare"] = {"clean": [{"type": "exact-duplicates"}, {"type": "length", "minimum": 5}]}
    run(HEADER + "ab,pos\n" * 20, "dev.csv")
    validation = prepared(tiny.folder)[0]["validation"]
    assert (validation["read"], validation["kept"], validation["dropped"]) == (20, 20, {})


def test_a_test_out_of_validation(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    """Other files, and the same rows: in another order, and fewer of them."""
    tiny.recipe["data"]["test"] = {"type": "csv", "path": "test.csv"}
    header, *rows = (tiny.folder / "dev.csv").read_text("utf-8").splitlines(keepends=True)
    half = rows[: len(rows) // 2]
    outcome = run("".join([header, *half[::-1]]), "test.csv")
    refused(outcome, "data", f"data.test: all of its {len(half)} rows stand in validation too")


def test_labels_that_are_numbers_in_json_lines(tiny: Any, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    tiny.recipe["data"]["train"] = {"type": "jsonl", "path": "train.jsonl"}
    tiny.recipe["data"]["validation"] = {"type": "jsonl", "path": "dev.jsonl"}
    for name, count in (("train.jsonl", 40), ("dev.jsonl", 12)):
        rows = [{"review": f"text {n} of {name}", "sentiment": n % 2} for n in range(count)]
        (tiny.folder / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    outcome = hft_here("run", tiny.write(), "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    config = json.loads((tmp_path / "out" / "model" / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "0", "1": "1"}
    # A column may not begin with numbers and go on with words without a word about it.
    mixed = [{"review": f"text {n}", "sentiment": n % 2 if n < 5500 else "pos"} for n in range(6000)]
    (tiny.folder / "train.jsonl").write_text("\n".join(map(json.dumps, mixed)), encoding="utf-8")
    outcome = hft_here("run", tiny.write(), "--out", tmp_path / "out")
    assert outcome.code == 3
    assert "'sentiment'" in outcome.err


def test_chinese_names_and_spaces_everywhere(
    tiny: Any, make_tiny: Any, write_csv: Callable[..., Path], hft_here: Callable[..., Any], tmp_path: Path
) -> None:
    other = make_tiny(tmp_path / "我的 项目" / "a b")
    for name, count in (("训练 集.csv", 40), ("验证.csv", 12)):
        rows = [
            {"评论": f"这家店第{n}次来{'很好' if n % 2 else '很差'}", "情感": ("差", "好")[n % 2]} for n in range(count)
        ]
        write_csv(other.folder / name, rows)
    other.recipe["name"] = "评论分类"
    other.recipe["data"]["train"]["path"] = "训练 集.csv"
    other.recipe["data"]["validation"]["path"] = "验证.csv"
    other.recipe["task"] = {"type": "text-classification"}  # columns are found
    recipe = other.write("我的 食谱.yaml")
    outcome = hft_here("run", recipe.name, cwd=other.folder)
    assert outcome.code == 0, outcome.err
    assert "runs/评论分类/report.html" in outcome.out
    run = other.folder / "runs" / "评论分类"
    config = json.loads((run / "model" / "config.json").read_text("utf-8"))
    assert sorted(config["label2id"]) == ["好", "差"]
    assert "评论分类" in (run / "report.html").read_text("utf-8")


def test_a_failed_run_leaves_the_earlier_one(tiny: Any, run: Callable[..., Any], refused: Callable[..., None]) -> None:
    assert run(None).code == 0
    folder = tiny.folder / "runs" / "tiny"
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    refused(run(HEADER + ROWS.replace("neg", "pos")), "data", "needs at least two labels")
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert sorted(os.listdir(folder.parent)) == ["tiny", "tiny.live"]  # the log of the one that failed
