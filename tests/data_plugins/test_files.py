"""Files as they come: packed, and in other encodings than UTF-8."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hft_core import DataError, Reader, Refusal
from hft_plugins.readers.conll import ConllReader
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.text import TextReader

from .reading import read_all

WESTERN = "Das Café hat geöffnet\nÀ bientôt, à Liège\nplain words\n“naïve” – 5 €\n"
CHINESE = "这家店的菜很好吃\n服务态度不行，等了一个小时\n一般\n"


def read(reader: Reader) -> tuple[dict[str, list[Any]], list[Refusal]]:
    """Columns and refusals."""
    columns, _, refusals = read_all(reader)
    return columns, refusals


def text(path: Path, content: bytes, **settings: Any) -> TextReader:
    path.write_bytes(content)
    return TextReader(type="text", path=path, **settings)


class TestEncodings:
    @pytest.mark.parametrize(
        ("content", "encoding", "found"),
        [
            (WESTERN, "windows-1252", "windows-1252"),
            (WESTERN.translate({8220: 34, 8221: 34, 8211: 45, 8364: 101}), "latin-1", "windows-1252"),
            (CHINESE, "gb18030", "gb18030"),
            (CHINESE, "gb2312", "gb18030"),
            (CHINESE + WESTERN, "gb18030", "gb18030"),
            (CHINESE, "utf-8", None),
            (CHINESE, "utf-8-sig", None),
            (CHINESE, "utf-16", "utf-16"),
            (WESTERN, "utf-32", "utf-32"),
            (WESTERN, "utf-8", None),
            ("only ASCII\n", "ascii", None),
        ],
    )
    def test_it_is_found(self, content: str, encoding: str, found: str | None, tmp_path: Path) -> None:
        reader = text(tmp_path / "a", content.encode(encoding))
        assert read(reader) == ({"text": content.splitlines()}, [])
        assert reader.found() == ({"encoding": found} if found else {})

    @pytest.mark.parametrize("encoding", ["big5", "shift-jis", "cp037", "utf-16-be", "koi8-r"])
    def test_it_may_be_named(self, encoding: str, tmp_path: Path) -> None:
        lines = {"big5": "這家店很好吃", "shift-jis": "とても美味しい", "koi8-r": "очень вкусно"}.get(
            encoding, "a, b\u00e9"
        )
        reader = text(tmp_path / "a", f"{lines}\n\n{lines}!".encode(encoding), encoding=encoding)
        assert read(reader) == ({"text": [lines, f"{lines}!"]}, [])
        assert reader.found() == {}

    @pytest.mark.parametrize(("content", "encoding"), [("очень вкусно\n", "cp1251"), ("아주 맛있어요\n", "euc-kr")])
    def test_what_is_unlike_both_is_not_guessed(self, content: str, encoding: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="encoding: big5"):
            read(text(tmp_path / "a", (content * 9).encode(encoding)))

    def test_one_line_of_another_encoding_is_refused(self, tmp_path: Path) -> None:
        columns, [refusal] = read(text(tmp_path / "a", "很好\n".encode() + "Café\n".encode("latin-1") + b"x"))
        assert columns["text"] == ["很好", "x"]
        assert (refusal.place, refusal.reason, refusal.raw) == (2, "invalid-utf8", b"Caf\xe9")

    def test_damage_within_another_encoding(self, tmp_path: Path) -> None:
        columns, [refusal] = read(text(tmp_path / "a", (CHINESE * 4).encode("gb18030") + b"a\xff\n"))
        assert (len(columns["text"]), refusal.reason, refusal.raw) == (12, "invalid-gb18030", b"a\xff")
        columns, [refusal] = read(text(tmp_path / "a", "很好\n".encode("utf-16") + b"\x00\xd8"))  # half a character
        assert (columns["text"], refusal.place, refusal.reason) == (["很好"], 2, "invalid-utf8")

    def test_far_behind_the_beginning_and_in_one_long_line(self, tmp_path: Path) -> None:
        late = ("plain\n" * 50_000 + WESTERN).encode("latin-1", "ignore")
        assert text(tmp_path / "a", late).found() == {"encoding": "windows-1252"}
        columns, _ = read(text(tmp_path / "a", ("x" + "好吃" * 50_000).encode("gb18030")))  # the sample is cut
        assert len(columns["text"][0]) == 100_001

    def test_of_csv_and_tokens(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_bytes('评论,标签\n"很好吃,\n不贵",好\n"不好,差\n'.encode("gb18030"))
        columns, [refusal] = read(CsvReader(type="csv", path=path))
        assert columns == {"评论": ["很好吃,\n不贵"], "标签": ["好"]}
        assert refusal.raw == '"不好,差'.encode("gb18030")  # as it stands in the file
        path.write_bytes("王\tB-PER\n明\tI-PER\n\n我\tO\n的\tO\n".encode("gb18030"))
        columns, _ = read(ConllReader(type="conll", path=path))
        assert columns["text"] == ["王明", "我的"]

    def test_one_that_is_unknown(self) -> None:
        with pytest.raises(ValidationError, match="unknown encoding"):
            TextReader(type="text", path=Path("a"), encoding="utf-9")

    def test_trec(self, data_dir: Path) -> None:
        pattern = r"(?P<label>\w+):(?P<fine>\w+) (?P<text>.+)"
        reader = TextReader(type="text", path=data_dir / "trec" / "TREC.train", pattern=pattern)
        columns, refusals = read(reader)
        assert (len(columns["text"]), len(set(columns["label"])), refusals) == (5_452, 6, [])
        assert len(set(zip(columns["label"], columns["fine"], strict=True))) == 50
        assert reader.found() == {"encoding": "windows-1252"}


class TestPatterns:
    def test_groups_are_columns(self, tmp_path: Path) -> None:
        pattern = r"__label__(?P<label>\w+) (?P<text>.+)"
        columns, [refusal] = read(text(tmp_path / "a", "__label__好 很 好吃\nno label\n".encode(), pattern=pattern))
        assert columns == {"label": ["好"], "text": ["很 好吃"]}
        assert (refusal.place, refusal.reason, refusal.raw) == (2, "no-match", b"no label")

    @pytest.mark.parametrize(("pattern", "message"), [("(", "no regular expression"), ("(.+)", "no named group")])
    def test_that_cannot_be_meant(self, pattern: str, message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            TextReader(type="text", path=Path("a"), pattern=pattern)


class TestPacked:
    def test_gzip(self, tmp_path: Path) -> None:
        reader = CsvReader(type="csv", path=tmp_path / "a.tsv.gz")
        reader.path.write_bytes(gzip.compress(b'a, b\tc\n"1\n1"\t2\n"x\t3\n'))  # the inner name says: tabs
        assert read(reader)[0] == {"a, b": ["1\n1"], "c": ["2"]}

    def pack(self, path: Path, **files: str) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name.replace("__", "/").replace("_", "."), content)
        return path

    def test_zip_of_one_file(self, tmp_path: Path) -> None:
        path = self.pack(tmp_path / "a.zip", b_csv="a,b\n1,2\n")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("__MACOSX/._b.csv", "junk")
            archive.writestr("folder/", "")
        assert read(CsvReader(type="csv", path=path))[0] == {"a": ["1"], "b": ["2"]}

    def test_an_excel_workbook(self, tmp_path: Path) -> None:
        path = self.pack(tmp_path / "a.xlsx", xl__workbook_xml="<x/>", xl__worksheets__sheet1_xml="<x/>")
        with pytest.raises(DataError, match="this is an Excel workbook; save its sheet as CSV"):
            read(CsvReader(type="csv", path=path))

    def test_zip_of_several_files(self, tmp_path: Path) -> None:
        path = self.pack(tmp_path / "a.zip", in__train_txt="很好\n", in__dev_txt="x\n")
        with pytest.raises(DataError, match=r"holds 2 files \(in/train\.txt, in/dev\.txt\); write `member:`"):
            read(TextReader(type="text", path=path))
        assert read(TextReader(type="text", path=path, member="in/dev.txt"))[0] == {"text": ["x"]}
        with pytest.raises(DataError, match=r"did you mean 'in/dev\.txt'"):
            read(TextReader(type="text", path=path, member="in/dve.txt"))
        with pytest.raises(DataError, match="is no zip archive"):
            read(text(tmp_path / "b.txt", b"x", member="in/dev.txt"))

    @pytest.mark.parametrize("kept", [0.3, 0.99])
    def test_a_damaged_archive(self, kept: float, tmp_path: Path) -> None:
        lines = "".join(f"line {number * 7919 % 99991}\n" for number in range(90_000)).encode()
        packed = gzip.compress(lines)
        with pytest.raises(DataError, match="cannot be unpacked"):
            read(text(tmp_path / "a.gz", packed[: int(kept * len(packed))]))
        path = self.pack(tmp_path / "a.zip", a_txt=lines.decode())
        damaged = bytearray(path.read_bytes())
        damaged[int(kept * len(damaged)) - 300] ^= 0xFF
        with pytest.raises(DataError, match="cannot be unpacked"):
            read(text(path, bytes(damaged)))

    def test_online_shopping(self, data_dir: Path) -> None:
        path = data_dir / "online_shopping_10_cats" / "online_shopping_10_cats.zip"
        columns, refusals = read(CsvReader(type="csv", path=path))
        assert (len(columns["review"]), columns["label"].count("1"), refusals) == (62_774, 31_728, [])
