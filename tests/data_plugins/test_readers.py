from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from hft_core import DataError, Refusal, Rows
from hft_plugins.readers.delimited import CsvReader, QuoteError, split
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.readers.text import TextReader

from .reading import read_all


def read_csv(folder: Path, content: str | bytes, name: str = "a.csv", **settings: Any) -> Any:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_all(CsvReader(type="csv", path=path, **settings))


def reasons(refusals: list[Refusal]) -> list[tuple[int, str]]:
    return [(refusal.place, refusal.reason) for refusal in refusals]


class TestCsv:
    def test_values_stay_texts(self, tmp_path: Path) -> None:
        columns, places, refusals = read_csv(tmp_path, "a,b\nNA,null\n,None\n\n1,nan\n")
        assert columns == {"a": ["NA", "", "1"], "b": ["null", "None", "nan"]}
        assert places == [2, 3, 5]
        assert refusals == []

    def test_bom_and_windows_line_ends(self, tmp_path: Path) -> None:
        columns, _, _ = read_csv(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n")
        assert columns == {"a": ["1"], "b": ["2"]}

    @pytest.mark.parametrize(
        ("name", "header"), [("x.csv", "a\tb"), ("x.csv", "a;b"), ("x.csv", "a,b"), ("x.tsv", "a\tb")]
    )
    def test_the_delimiter_is_found(self, tmp_path: Path, name: str, header: str) -> None:
        columns, _, _ = read_csv(tmp_path, f"{header}\n{header}\n", name)
        assert columns == {"a": ["a"], "b": ["b"]}

    def test_excels_own_line_names_the_delimiter(self, tmp_path: Path) -> None:
        columns, places, _ = read_csv(tmp_path, "sep=|\n评论|label\na, b; c|1\n")
        assert columns == {"评论": ["a, b; c"], "label": ["1"]}
        assert places == [3]
        columns, places, _ = read_csv(tmp_path, "sep=|\na, b; c|1\n", header=False)
        assert (columns, places) == ({"column1": ["a, b; c"], "column2": ["1"]}, [2])
        with pytest.raises(DataError, match="line 2: the header has 'a' twice"):
            read_csv(tmp_path, "sep=;\na;a\n1;2\n")

    def test_a_delimiter_that_one_column_does_not_need(self, tmp_path: Path) -> None:
        columns, _, _ = read_csv(tmp_path, '"Review, in full"\nabc\n', delimiter=";")
        assert columns == {"Review, in full": ["abc"]}

    def test_a_wrong_delimiter_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(
            DataError, match=r"line 1: no ',' stands there, but ';'; correct `delimiter`, or leave it out"
        ):
            read_csv(tmp_path, "评论;情感\n好;1\n", delimiter=",")

    def test_a_delimiter_within_quotes_does_not_count(self, tmp_path: Path) -> None:
        columns, _, _ = read_csv(tmp_path, '"a,b,c";d\n1;2\n')
        assert columns == {"a,b,c": ["1"], "d": ["2"]}

    def test_quoted_fields_over_several_lines(self, tmp_path: Path) -> None:
        columns, places, refusals = read_csv(tmp_path, 't,l\n"one\ntwo, ""x""\n\nthree",0\nnext,1\n')
        assert columns == {"t": ['one\ntwo, "x"\n\nthree', "next"], "l": ["0", "1"]}
        assert places == [2, 6]
        assert refusals == []

    def test_an_unclosed_quote_costs_its_line_only(self, tmp_path: Path) -> None:
        columns, places, refusals = read_csv(tmp_path, 't,l\n"open,0\na,1\n"b, b",0\nc "c" c,1\n')
        assert columns["t"] == ["a", "b, b", 'c "c" c']
        assert places == [3, 4, 5]
        assert reasons(refusals) == [(2, "unclosed-quote")]
        assert refusals[0].raw == b'"open,0'

    def test_two_stray_quotes_do_not_make_one_record(self, tmp_path: Path) -> None:
        columns, _, refusals = read_csv(tmp_path, 't,l\n"open,0\na,1\nb,"\nc,1\n')
        assert columns["t"] == ["a", "c"]
        assert reasons(refusals) == [(2, "unclosed-quote"), (4, "unclosed-quote")]

    def test_each_fault_has_its_reason(self, tmp_path: Path) -> None:
        _, places, refusals = read_csv(tmp_path, b't,l\na,b,c\n"x" y,1\n\xff,1\nn\0,1\nfine,1\nshort\n')
        assert reasons(refusals) == [
            (2, "wrong-field-count"),
            (3, "stray-quote"),
            (4, "invalid-utf8"),
            (5, "nul-byte"),
            (7, "wrong-field-count"),
        ]
        assert refusals[2].raw == b"\xff,1"
        assert places == [6]

    def test_without_header_and_quotes(self, tmp_path: Path) -> None:
        content = 'the "best" film\t1\n"bad" , they say\t0\n'
        settings = {"header": False, "quote": None}
        columns, places, _ = read_csv(tmp_path, content, "x.tsv", columns=["text", "label"], **settings)
        assert columns == {"text": ['the "best" film', '"bad" , they say'], "label": ["1", "0"]}
        assert places == [1, 2]
        columns, _, _ = read_csv(tmp_path, content, "x.tsv", **settings)
        assert list(columns) == ["column1", "column2"]

    def test_many_rows_come_in_batches(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("a\n" + "".join(f"{i}\n" for i in range(12_001)))
        batches = [part for part in CsvReader(type="csv", path=path).read() if isinstance(part, Rows)]
        assert [len(batch.places) for batch in batches] == [5_000, 5_000, 2_001]
        assert batches[2].columns["a"][-1] == "12000"

    def test_splitting_agrees_with_the_csv_module(self) -> None:
        draw = random.Random(0)
        for _ in range(2_000):
            fields = ["".join(draw.choices('ab",\n文 ', k=draw.randrange(6))) for _ in range(draw.randrange(1, 5))]
            buffer = io.StringIO()
            csv.writer(buffer, lineterminator="").writerow(fields)
            assert split(buffer.getvalue(), ",", '"') == fields

    def test_faulty_quotes(self) -> None:
        for text, reason in [('"a', "unclosed-quote"), ('"a""', "unclosed-quote"), ('"a"b,c', "stray-quote")]:
            with pytest.raises(QuoteError) as caught:
                split(text, ",", '"')
            assert caught.value.reason == reason

    def test_settings_that_cannot_be_meant(self) -> None:
        with pytest.raises(ValueError, match="header: false"):
            CsvReader(type="csv", path=Path("a"), columns=["a"])
        with pytest.raises(ValueError, match="twice"):
            CsvReader(type="csv", path=Path("a"), columns=["a", "a"], header=False)

    @pytest.mark.parametrize(
        ("content", "settings", "message"),
        [
            ("a,b,a\n1,2,3\n", {}, "'a' twice"),
            ("a,b\n", {}, "nothing follows the header"),
            ("a,b\r1,2\r", {}, "carriage returns alone"),
            ("text,label\nx,1\n", {"header": False, "columns": ["text", "label"]}, "header: true"),
        ],
    )
    def test_layouts_that_cannot_be_meant(
        self, tmp_path: Path, content: str, settings: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            read_csv(tmp_path, content, **settings)

    def test_sst2(self, data_dir: Path) -> None:
        path = data_dir / "sst2" / "train.tsv"
        columns, _, refusals = read_all(CsvReader(type="csv", path=path, header=False, columns=["text", "label"]))
        assert len(columns["text"]) == 6_920
        assert columns["label"].count("1") == 3_610
        assert refusals == []

    def test_waimai(self, data_dir: Path) -> None:
        columns, _, refusals = read_all(CsvReader(type="csv", path=data_dir / "waimai_10k" / "waimai_10k.csv"))
        assert (columns["label"].count("1"), columns["label"].count("0"), len(refusals)) == (4_000, 7_987, 0)


class TestJsonl:
    def read(self, folder: Path, content: str | bytes) -> Any:
        path = folder / "a.jsonl"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_all(JsonlReader(type="jsonl", path=path))

    def test_late_keys_are_not_lost(self, tmp_path: Path) -> None:
        lines = [json.dumps({"text": str(i)}) for i in range(5_001)] + ['{"label": 1, "text": "文"}']
        columns, places, refusals = self.read(tmp_path, "\n".join(lines))
        assert columns["label"] == [None] * 5_001 + [1]
        assert columns["text"][-1] == "文"
        assert places[-1] == 5_002
        assert refusals == []

    def test_a_carriage_return_between_fields_is_white_space(self, tmp_path: Path) -> None:
        columns, _, refusals = self.read(tmp_path, '{"a": "x",\r "b": "y"}')
        assert (columns, refusals) == ({"a": ["x"], "b": ["y"]}, [])

    def test_each_fault_has_its_reason(self, tmp_path: Path) -> None:
        content = (
            b'{"a": "x"}\n\n[1]\n{"a": \n{"a": 1, "a": 2}\n{"a": NaN}\n{"a": "\\ud800"}\n{"a": "\xff"}\n'
            b'{"a": "\0"}\n{"a": "\\ud83d\\ude00"}\n{"a": null}\n{"a": 1}\n{"a": "y"}\n{"a": "z"}\n'
        )
        columns, places, refusals = self.read(tmp_path, content)
        assert columns == {"a": ["x", "😀", None, 1, "y", "z"]}
        assert places == [1, 10, 11, 12, 13, 14]
        assert reasons(refusals) == [
            (3, "not-an-object"),
            (4, "invalid-json"),
            (5, "invalid-json"),
            (6, "invalid-json"),
            (7, "lone-surrogate"),
            (8, "invalid-utf8"),
            (9, "nul-byte"),
        ]

    def test_data_in_keys_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="different keys"):
            self.read(tmp_path, "\n".join(json.dumps({f"id-{i}": i}) for i in range(1_002)))


class TestText:
    def test_blank_lines_are_no_records(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes("一行\r\n\n  \n two \n\u3000\nx\u2028y".encode() + b"\n\xff\nlast")
        columns, places, refusals = read_all(TextReader(type="text", path=path))
        assert columns == {"text": ["一行", " two ", "x\u2028y", "last"]}
        assert places == [1, 4, 6, 8]
        assert reasons(refusals) == [(7, "invalid-utf8")]

    def test_nearest_name_of_a_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "train.txt").write_text("x")
        with pytest.raises(DataError, match=r"did you mean 'train\.txt'"):
            read_all(TextReader(type="text", path=tmp_path / "trian.txt"))
        with pytest.raises(DataError, match="no folder"):
            read_all(TextReader(type="text", path=tmp_path / "there" / "train.txt"))
        with pytest.raises(DataError, match="this is a folder"):
            read_all(TextReader(type="text", path=tmp_path))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "empty"),
            (b"\xef\xbb\xbf\n \n", "empty"),
            (bytes(range(256)) * 20, "not UTF-8 text"),
            ("とても\n美味しい\n".encode("shift-jis"), "encoding: big5"),
            ("a text\n".encode("utf-16-le"), "not UTF-8 text"),
        ],
    )
    def test_what_is_no_text(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            read_all(TextReader(type="text", path=path))
        assert str(path) in str(caught.value)

    def test_a_long_line_may_be_cut_within_a_character(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("x" + "文" * 50_000, encoding="utf-8")  # the sample ends within a character
        columns, _, _ = read_all(TextReader(type="text", path=path))
        assert len(columns["text"][0]) == 50_001
