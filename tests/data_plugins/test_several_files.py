"""JSON lists, sources of several files, and lines that are too long."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hft_core import DataError, Refusal
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.reading import read_source
from hft_plugins.readers import json_list, source
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.readers.squad import SquadReader
from hft_plugins.readers.text import TextReader

from .reading import read_all


def of_json(path: Path, content: str | bytes) -> tuple[dict[str, list[Any]], list[int], list[Refusal]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_all(JsonlReader(type="jsonl", path=path))


class TestJsonLists:
    def test_any_layout(self, tmp_path: Path) -> None:
        rows = [{"text": '好吃, ["x"] {', "n": [1, {"a": "]"}]}, {"text": "b\\\\", "late": None}, {"text": ""}]
        for content in (
            json.dumps(rows),
            json.dumps(rows, indent=2, ensure_ascii=False),
            "\ufeff \n[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n\n",
        ):
            columns, places, refusals = of_json(tmp_path / "a.json", content)
            assert columns["text"] == [row["text"] for row in rows]
            assert columns["n"][0] == rows[0]["n"]
            assert (places, refusals) == ([1, 2, 3], [])

    def test_pieces_may_end_anywhere(self) -> None:
        draw = random.Random(0)
        rows = [{"a": draw.choice(["[", "\\", '"', "},", "好"]) * draw.randrange(4), "b": [[], {}]} for _ in range(40)]
        text = json.dumps(rows, indent=draw.randrange(3), ensure_ascii=False)
        for size in (1, 2, 7, 64):
            pieces = [text[at : at + size] for at in range(0, len(text), size)]
            found = list(json_list.elements(pieces) or ())
            assert [json.loads(element.text) for element in found] == rows
            assert all(element.whole for element in found)

    def test_bad_elements_are_refused_alone(self, tmp_path: Path) -> None:
        content = b'[{"a": 1},\n{"a": },\n 7,\n{"a": "\xff"},\n{"a": "\\ud800"},\n{"a": 2},\n]'
        columns, places, refusals = of_json(tmp_path / "a.json", content)
        assert (columns, places) == ({"a": [1, 2]}, [1, 6])
        assert [(one.place, one.reason) for one in refusals] == [
            (2, "invalid-json"), (3, "not-an-object"), (4, "invalid-utf8"), (5, "lone-surrogate"),
        ]  # fmt: skip
        assert refusals[2].raw == b'{"a": "\xff"}'

    @pytest.mark.parametrize("rest", ["", ', {"a": 2', '] {"a": 3}', ', {"a": "x'])
    def test_a_list_that_does_not_close(self, rest: str, tmp_path: Path) -> None:
        columns, _, refusals = of_json(tmp_path / "a.json", '[\n{"a": 1}' + (rest or ","))
        assert columns == {"a": [1]}
        assert [one.reason for one in refusals] == ["unclosed-list"]

    def test_lists_in_lines_are_no_list(self, tmp_path: Path) -> None:
        _, _, refusals = of_json(tmp_path / "a.jsonl", "[1, 2]\n[3]\n")
        assert [one.reason for one in refusals] == ["not-an-object"] * 2

    def test_squad_article_by_article(self, tmp_path: Path) -> None:
        article = {"title": "t", "paragraphs": [{"context": "很好吃", "qas": [
            {"id": 1, "question": "?", "answers": [{"text": "好吃", "answer_start": 1}]}]}]}  # fmt: skip
        content = json.dumps({"version": "1", "meta": {"by": "x"}, "data": [article, article]}, ensure_ascii=False)
        path = tmp_path / "a.json"
        path.write_text(content.replace('}]}, {"title"', '}]}, {"broken": }, {"title"'), encoding="utf-8")
        columns, places, [refusal] = read_all(SquadReader(type="squad", path=path))
        assert (columns["id"], places) == (["1", "1"], [1, 3])
        assert (refusal.place, refusal.reason, refusal.raw) == (2, "invalid-json", b'{"broken": }')


class TestSeveralFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "b.csv").write_text("text,label\n好吃,1\nbroken\n差,0\n", encoding="utf-8")
        (tmp_path / "a.csv").write_text("label,text\n1,fine\n,no label\n", encoding="utf-8")
        return tmp_path

    def test_a_pattern_and_a_list(self, folder: Path) -> None:
        columns, places, [refusal] = read_all(CsvReader(type="csv", path=folder / "*.csv"))
        assert columns == {"label": ["1", "", "1", "0"], "text": ["fine", "no label", "好吃", "差"]}
        assert places == [2, 3, 5, 7]
        assert (refusal.place, refusal.file) == (3, "b.csv")
        listed = CsvReader(type="csv", path=[folder / "b.csv", folder / "a.csv"])
        assert read_all(listed)[0]["text"] == ["好吃", "差", "fine", "no label"]
        assert listed.identity() != CsvReader(type="csv", path=folder / "*.csv").identity()

    def test_the_quarantine_says_file_and_line(self, folder: Path) -> None:
        reader = CsvReader(type="csv", path=folder / "?.csv", bad_rows=None)
        ledger = Ledger()
        with Quarantine(folder / "q.jsonl") as quarantine:
            bad = lambda columns: [None if value else "empty-label" for value in columns["label"]]  # noqa: E731
            list(read_source(reader, "train", ledger, quarantine, ["text", "label"], bad))
        refused = [json.loads(line) for line in (folder / "q.jsonl").read_text("utf-8").splitlines()]
        assert [(one["file"], one["line"], one["reason"]) for one in refused] == [
            ("a.csv", 3, "empty-label"), ("b.csv", 3, "wrong-field-count"),
        ]  # fmt: skip
        assert (ledger.read, ledger.kept) == (5, 3)

    def test_labels_by_number_say_file_and_line(self, folder: Path) -> None:
        reader = CsvReader.model_validate(
            {"type": "csv", "path": folder / "*.csv", "labels": {"column": "label", "names": ["bad", "good"]}}
        )
        with Quarantine(folder / "q.jsonl") as quarantine:
            [first, second] = read_source(
                reader.model_copy(update={"bad_rows": None}), "train", Ledger(), quarantine, ["label"]
            )
        assert (first["label"], second["label"]) == (["good"], ["good", "bad"])
        assert '"a.csv", "line": 3' in (folder / "q.jsonl").read_text("utf-8")

    def test_columns_that_differ(self, folder: Path) -> None:
        (folder / "c.csv").write_text("text\nx\n")
        with pytest.raises(DataError, match="files of one source have the same columns"):
            read_all(CsvReader(type="csv", path=folder / "*.csv"))

    def test_keys_of_all_json_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
        (tmp_path / "b.json").write_text('[{"b": 2}]')
        columns, places, _ = read_all(JsonlReader(type="jsonl", path=tmp_path / "*.json*"))
        assert (columns, places) == ({"a": [1, None], "b": [None, 2]}, [1, 2])

    def test_encodings_of_all_files(self, tmp_path: Path) -> None:
        for name, encoding in (("a", "utf-8"), ("b", "gb18030")):
            (tmp_path / name).write_bytes("这家店的菜很好吃\n".encode(encoding))
        reader = TextReader(type="text", path=tmp_path / "[ab]")
        assert reader.found() == {"encoding": "utf-8, gb18030"}
        assert read_all(reader)[0] == {"text": ["这家店的菜很好吃"] * 2}

    def test_a_pattern_without_files(self, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match="no file fits"):
            CsvReader(type="csv", path=tmp_path / "*.csv")
        with pytest.raises(ValidationError, match="at least one"):
            CsvReader(type="csv", path=[])


def test_a_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_LONGEST_LINE", 100)
    monkeypatch.setattr(source, "_CHUNK", 64)
    path = tmp_path / "a.txt"
    for end in ("\n", "\r\n"):
        path.write_bytes(f"很好{end}{'x' * 1000}{end}fine{end}{'y' * 101}".encode())
        columns, places, refusals = read_all(TextReader(type="text", path=path))
        assert (columns, places) == ({"text": ["很好", "fine"]}, [1, 3])
        assert [(one.place, one.reason) for one in refusals] == [(2, "line-too-long"), (4, "line-too-long")]
