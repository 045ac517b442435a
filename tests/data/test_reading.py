"""Reading a source: the limit on bad rows, names for labels, the quarantine, what was found."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from hft_core import Columns, DataError, LabelNames, Reader, Refusal, Rows
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.reading import read_source, sample_of
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.text_classification.task import TextClassification

TASK = TextClassification(type="text-classification", text="text", label="label")


def read(reader: Reader, folder: Path, wanted: tuple[str, ...] = ("text", "label"), check: bool = True) -> Any:
    """The ledger, all rows, and the quarantine, of which the sums are held."""
    ledger, quarantine = Ledger(), Quarantine(folder / "quarantine.jsonl")
    columns: Columns = {}
    try:
        for batch in read_source(reader, "train", ledger, quarantine, wanted, TASK.refusals if check else None):
            for name, values in batch.items():
                columns.setdefault(name, []).extend(values)
    finally:
        quarantine.close()
    refused = [json.loads(line) for line in (folder / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert ledger.read == len(columns["_row"]) + len(refused)
    return ledger, columns, refused


def csv(folder: Path, good: int, bad: int, **settings: Any) -> CsvReader:
    path = folder / "a.csv"
    path.write_text("text,label\n" + "one field\n" * bad + "a text,1\n" * good, encoding="utf-8")
    return CsvReader(type="csv", path=path, **settings)


# ---- the limit on bad rows ----


@pytest.mark.parametrize(
    ("good", "bad", "limit", "stops"),
    [
        (80, 20, 0.2, False),
        (79, 21, 0.2, True),
        (999, 1, 0, True),
        (999, 0, 0, False),
        (1, 99, None, False),
        (5, 3, 3, False),
        (5_000, 4, 3, True),
        (1, 1, 1, False),
    ],
)
def test_too_many_bad_rows_stop_the_run(good: int, bad: int, limit: float | None, stops: bool, tmp_path: Path) -> None:
    reader = csv(tmp_path, good, bad, bad_rows=limit)
    if not stops:
        assert read(reader, tmp_path)[0].kept == good
        return
    with pytest.raises(DataError, match=r"cannot be used.*wrong-field-count: .*line 2: wrong-field-count.*`bad_rows:`"):
        read(reader, tmp_path)


def test_a_fifth_may_be_bad_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    assert read(csv(tmp_path, 4, 1), tmp_path)[0].quarantined == {"wrong-field-count": 1}
    with pytest.raises(DataError, match=r"2 of 9 rows .* more than 20%"):
        read(csv(tmp_path, 7, 2), tmp_path)


def test_rows_that_the_task_refuses_count_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "a text,1\n" * 5 + ",1\n" * 3)
    with pytest.raises(DataError, match=r"more than 2 rows .*empty-text: 3"):
        read(CsvReader(type="csv", path=tmp_path / "a.csv", bad_rows=2), tmp_path)


# ---- names for labels ----


def labelled(folder: Path, labels: list[Any], **settings: Any) -> JsonlReader:
    path = folder / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a", "label": label}) for label in labels), encoding="utf-8")
    return JsonlReader(type="jsonl", path=path, bad_rows=None, labels=LabelNames(column="label", **settings))


@pytest.mark.parametrize(
    ("labels", "first", "expected"),
    [
        ([0, 2, 1], None, ["差", "好", "中"]),
        ([1, 3, 2], None, ["差", "好", "中"]),
        ([2, 1], 1, ["中", "差"]),
        ([2, 1], 0, ["好", "中"]),
        (["1", " 3 ", 2.0, "中"], None, ["差", "好", "中", "中"]),
    ],
)
def test_numbers_from_0_or_1_become_names(
    labels: list[Any], first: Literal[0, 1] | None, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text("\ufeff差\r\n中\n\n好\n", encoding="utf-8")
    reader = labelled(tmp_path, labels, names=tmp_path / "names.txt", first=first)
    assert read(reader, tmp_path)[1]["label"] == expected


def test_a_label_without_name_is_refused(tmp_path: Path) -> None:
    reader = labelled(tmp_path, [0, 3, "c", None, -1, 1.5, True, 1], names=["a", "b"])
    ledger, columns, refused = read(reader, tmp_path)
    assert (columns["label"], columns["_row"]) == (["a", "b"], [1, 8])
    assert ledger.quarantined == {"label-without-name": 6}
    assert [record["line"] for record in refused] == [2, 3, 4, 5, 6, 7]
    assert json.loads(refused[0]["raw"]) == {"text": "a", "label": 3}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"names": ["a", "b", "c"]}, "neither 0 nor 3.*`first: 0` or `first: 1`"),
        ({"names": ["a", "a"]}, "a name twice"),
        ({"names": []}, "no name"),
        ({"names": Path("nowhere.txt")}, "cannot be read"),
        ({"names": ["a", "b"], "column": "class"}, "does not read the column 'class', but text, label"),
    ],
)
def test_names_that_cannot_be_meant(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    reader = labelled(tmp_path, [1, 2], **{"first": None, "names": []} | {"names": settings["names"]})
    labels = LabelNames(**{"column": "label"} | settings)
    with pytest.raises(DataError, match=message):
        read(reader.model_copy(update={"labels": labels}), tmp_path)


def test_ag_news_from_0_and_from_1(data_dir: Path, tmp_path: Path) -> None:
    classes = data_dir / "ag_news_test7600" / "classes.txt"
    labels = LabelNames(column="label", names=classes)
    for path, columns in (
        (data_dir / "ag_news" / "train.csv", ["label", "text"]),
        (data_dir / "ag_news_test7600" / "test.csv", ["label", "title", "text"]),
    ):
        reader = CsvReader(type="csv", path=path, header=False, columns=columns, labels=labels)
        ledger, found, _ = read(reader, tmp_path)
        assert ledger.kept == ledger.read == len(found["label"])
        assert {found["label"].count(name) for name in classes.read_text().split()} == {ledger.read // 4}
        taliban = [text for text in found["text"] if "prime minister" in text.lower()]
        world = [label for text, label in zip(found["text"], found["label"], strict=True) if text in taliban]
        assert world.count("World") > len(world) / 2  # the names mean the same in both


# ---- the quarantine ----


class Odd(Reader):
    """Gives what a source of several files may hold."""

    type: Literal["odd"]

    def read(self) -> Iterator[Rows | Refusal]:
        """One row, one refusal of a file of its own, and texts that no file can hold as they are."""
        yield Rows({"text": ["half \ud800", "a"], "label": [{"is": ["\udfff"]}, "b"]}, [1, 2])
        yield Refusal(7, "odd", "an odd one", b"\\xff is no \xff", "second.csv")
        yield Refusal(8, "even", "a plain one", "很好".encode())

    def found(self) -> dict[str, str]:
        """Say something."""
        return {"encoding": "odd-8"}


def test_the_quarantine_has_every_byte(tmp_path: Path) -> None:
    ledger, columns, refused = read(Odd(type="odd", bad_rows=None), tmp_path)
    assert columns["text"] == ["a"]
    assert ledger.to_json()["found"] == {"encoding": "odd-8"}
    assert [(one["file"], one["line"], one["component"], one["reason"]) for one in refused] == [
        ("odd", 1, "task", "not-a-label"),
        ("second.csv", 7, "odd", "odd"),
        ("odd", 8, "odd", "even"),
    ]
    assert base64.b64decode(refused[1]["raw_base64"]) == b"\\xff is no \xff"
    assert refused[1]["raw"] == "\\xff is no \\xff"  # which alone would not tell the two apart
    assert refused[2]["raw"] == "很好"
    assert "raw_base64" not in refused[2]


def test_half_characters_become_marks_at_any_depth(tmp_path: Path) -> None:
    columns = read(Odd(type="odd", bad_rows=None), tmp_path, check=False)[1]
    assert (columns["text"][0], columns["label"][0]) == ("half \ufffd", {"is": ["\ufffd"]})
    assert sample_of(Odd(type="odd"), 1)["label"] == [{"is": ["\udfff"]}]
