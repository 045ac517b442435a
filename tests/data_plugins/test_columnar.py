"""Parquet files, data sets of the hub and saved ones, and databases."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hft_core import DataError, PluginError, Reader
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.reading import read_source
from hft_plugins.readers.dataset import DatasetReader
from hft_plugins.readers.parquet import ParquetReader
from hft_plugins.readers.sql import SqlReader

from .reading import read_all

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def sums(reader: Reader, folder: Path, *wanted: str) -> tuple[Ledger, list[dict[str, Any]], list[dict[str, Any]]]:
    """Ledger, batches and quarantine of a source as it is prepared."""
    ledger, quarantine = Ledger(), Quarantine(folder / "quarantine.jsonl")
    batches = list(read_source(reader, "train", ledger, quarantine, wanted))
    quarantine.close()
    refused = [json.loads(line) for line in (folder / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert ledger.read == sum(len(batch["_row"]) for batch in batches) + len(refused)
    return ledger, batches, refused


class TestParquet:
    def parquet(self, path: Path, rows: int = 12_000, **settings: Any) -> ParquetReader:
        table = pa.table(
            {"text": [f"第{n}行" for n in range(rows)], "label": list(range(rows)), "tags": [["a"]] * rows}
        )
        pq.write_table(table, path, row_group_size=5_500, compression="none", **settings)
        return ParquetReader(type="parquet", path=path)

    def test_rows_with_their_types(self, tmp_path: Path) -> None:
        columns, places, refusals = read_all(self.parquet(tmp_path / "a.parquet"))
        assert (columns["text"][-1], columns["label"][-1], columns["tags"][0]) == ("第11999行", 11_999, ["a"])
        assert (places, refusals) == (list(range(1, 12_001)), [])

    def test_a_text_that_is_no_utf8_costs_its_row(self, tmp_path: Path) -> None:
        texts = pa.array([b"a", b"\xffb", "好".encode()]).view(pa.string())
        pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
        columns, places, [refusal] = read_all(ParquetReader(type="parquet", path=tmp_path / "a.parquet"))
        assert (columns, places) == ({"text": ["a", "好"]}, [1, 3])
        assert (refusal.place, refusal.reason, refusal.raw) == (2, "invalid-utf8", b"\xffb")

    def test_a_damaged_group_costs_its_rows(self, tmp_path: Path) -> None:
        reader = self.parquet(tmp_path / "a.parquet", write_page_checksum=True, use_dictionary=False)
        start = pq.ParquetFile(reader.path).metadata.row_group(1).column(0).data_page_offset
        content = bytearray(reader.path.read_bytes())
        content[start : start + 64] = b"\xff" * 64
        reader.path.write_bytes(content)
        _, places, refusals = read_all(reader)
        assert {refusal.reason for refusal in refusals} == {"damaged-group"}
        assert sorted(places + [refusal.place for refusal in refusals]) == list(range(1, 12_001))
        assert [refusal.place for refusal in refusals] == list(range(5_501, 11_001))

    def test_packed(self, tmp_path: Path) -> None:
        reader = self.parquet(tmp_path / "a.parquet", 10)
        (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(reader.path.read_bytes()))
        columns, _, _ = read_all(ParquetReader(type="parquet", path=tmp_path / "a.parquet.gz"))
        assert columns["label"] == list(range(10))

    def test_what_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_text("text,label\n")
        with pytest.raises(DataError, match="no Parquet file"):
            read_all(ParquetReader(type="parquet", path=tmp_path / "a.parquet"))
        with pytest.raises(DataError, match="no row"):
            read_all(self.parquet(tmp_path / "a.parquet", 0))


CARD = """---
dataset_info:
  features:
  - {name: text, dtype: string}
  - {name: label, dtype: {class_label: {names: {'0': 差, '1': 好}}}}
configs:
- config_name: default
  data_files:
  - {split: train, path: 'data/train-*.csv'}
  - {split: test, path: data/test.csv}
---
"""
TRAIN = 'text,label\nNA,0\nnull,1\n"one stray quote,1\nNone,0\n很好,1\n,0\n'


def hub(folder: Path) -> Path:
    """A folder in the hub's layout."""
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "data" / "train-0.csv").write_text(TRAIN, encoding="utf-8")
    (folder / "data" / "train-1.csv").write_text("text,label\nmore,1\nodd,7\n", encoding="utf-8")
    (folder / "data" / "test.csv").write_text("text,label\nx,-1\n", encoding="utf-8")
    return folder


class TestDataset:
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No cache but the test's own, no network."""
        import datasets
        import huggingface_hub

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def test_no_row_of_a_folder_vanishes(self, tmp_path: Path) -> None:
        reader = DatasetReader(type="dataset", path=hub(tmp_path / "data set"), bad_rows=None)
        ledger, batches, refused = sums(reader, tmp_path, "text", "label")
        assert sum((batch["text"] for batch in batches), []) == ["NA", "null", "None", "很好", "", "more"]  # noqa: RUF017
        assert sum((batch["label"] for batch in batches), []) == ["差", "好", "差", "好", "差", "好"]  # noqa: RUF017
        assert sum((batch["_row"] for batch in batches), []) == [2, 3, 5, 6, 7, 9]  # noqa: RUF017
        found = [(one["file"], one["line"], one["reason"]) for one in refused]
        assert found == [("train-0.csv", 4, "unclosed-quote"), ("train-1.csv", 3, "label-without-name")]
        assert ledger.read == 8

    def test_an_edited_file_of_the_same_size_and_time_is_read_anew(self, tmp_path: Path) -> None:
        reader = DatasetReader(type="dataset", path=hub(tmp_path / "a"))
        file, key = tmp_path / "a" / "data" / "train-1.csv", reader.identity()
        assert read_all(reader)[0]["text"][-2] == "more"
        times = file.stat()
        file.write_text("text,label\nless,1\nodd,7\n", encoding="utf-8")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert file.stat().st_size == times.st_size
        assert read_all(reader)[0]["text"][-2] == "less"
        assert reader.identity() != key

    def test_a_name_of_the_hub(self, tmp_path: Path) -> None:
        commit = "0123456789abcdef0123456789abcdef01234567"
        cache = tmp_path / "hub" / "datasets--some--data"
        hub(cache / "snapshots" / commit)
        (cache / "refs").mkdir()
        (cache / "refs" / "main").write_text(commit)
        reader = DatasetReader(type="dataset", hub="some/data", split="test")
        assert read_all(reader)[0] == {"text": ["x"], "label": ["-1"]}
        assert reader.identity()["revision"] == commit
        with pytest.raises(DataError, match=r"'some/other'.*not in the cache"):
            read_all(DatasetReader(type="dataset", hub="some/other"))

    @pytest.mark.parametrize("several", [False, True])
    def test_a_saved_one(self, several: bool, tmp_path: Path) -> None:
        import datasets

        features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["差", "好"]))
        whole = datasets.Dataset.from_dict({"text": ["a", "b", "好"], "label": [0, 1, 1]}, features=features)
        (datasets.DatasetDict(train=whole) if several else whole.select([2, 0])).save_to_disk(tmp_path / "saved")
        reader = DatasetReader(type="dataset", path=tmp_path / "saved")
        _, [batch], _ = sums(reader, tmp_path, "text", "label")
        expected = (["a", "b", "好"], ["差", "好", "好"]) if several else (["好", "a"], ["好", "差"])
        assert (batch["text"], batch["label"]) == expected
        if several:
            with pytest.raises(DataError, match="there is no split 'test'; it has train"):
                list(reader.model_copy(update={"split": "test"}).read())

    @pytest.mark.parametrize(
        ("own", "asked", "fits"),
        [("test", {}, True), ("test[:2]", {"split": "test"}, True), (None, {"split": "test"}, True),
         ("train", {"split": "test"}, False), ("train+test", {"split": "train"}, True)],
    )  # fmt: skip
    def test_one_saved_split(self, own: str | None, asked: dict[str, str], fits: bool, tmp_path: Path) -> None:
        import datasets

        datasets.Dataset.from_dict({"text": ["a", "b"]}, split=own).save_to_disk(tmp_path / "saved")
        reader = DatasetReader(type="dataset", path=tmp_path / "saved", **asked)
        if fits:
            [rows] = reader.read()
            assert rows.columns["text"] == ["a", "b"]  # type: ignore[union-attr]  # no refusal
        else:
            with pytest.raises(DataError, match=r"it is the split 'train', not 'test'; correct `split`"):
                list(reader.read())

    def test_parquet_files_bring_their_names(self, tmp_path: Path) -> None:
        import datasets

        features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
        (tmp_path / "a").mkdir()
        whole = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features)
        whole.to_parquet(tmp_path / "a" / "train-00000-of-00001.parquet")
        reader = DatasetReader(type="dataset", path=tmp_path / "a", bad_rows=1)
        _, [batch], [refused] = sums(reader, tmp_path, "text", "label")
        assert (batch["label"], refused["reason"]) == (["yes"], "label-without-name")
        _, [batch], refused_rows = sums(reader, tmp_path, "text")  # as unlabelled text it is whole
        assert (batch["text"], refused_rows) == (["a", "b"], [])

    def test_files_with_other_columns(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        for name, row in (("a", {"text": "a", "label": 1}), ("b", {"text": "b", "more": 1})):
            (tmp_path / "a" / f"train_{name}.jsonl").write_text(json.dumps(row))
        columns, places, _ = read_all(DatasetReader(type="dataset", path=tmp_path / "a"))
        assert (columns, places) == ({"text": ["a", "b"], "label": [1, None]}, [1, 2])

    def test_what_cannot_be_meant(self, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match="either `hub`"):
            DatasetReader(type="dataset")
        folder = hub(tmp_path / "a")
        for settings, message in (
            ({"split": "dev"}, "no split 'dev'; it has train, test"),
            ({"subset": "b"}, "'b' not found"),
        ):
            with pytest.raises(DataError, match=message):
                read_all(DatasetReader(type="dataset", path=folder, **settings))
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="cannot read this folder"):
            read_all(DatasetReader(type="dataset", path=tmp_path / "empty"))


class TestSql:
    pytestmark = pytest.mark.usefixtures("_sqlalchemy")

    @pytest.fixture
    def _sqlalchemy(self) -> None:
        pytest.importorskip("sqlalchemy", reason="needs the extra `sql`")

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        with sqlite3.connect(tmp_path / "评论.db") as database:
            database.execute("create table reviews (id integer primary key, text text, label integer, at date)")
            rows = [(3, "好", 1, "2020-01-02"), (1, "NA", 0, None), (2, "x" * 9, 1, None)]
            database.executemany("insert into reviews values (?, ?, ?, ?)", rows)
            database.execute("insert into reviews values (4, cast(x'61ff' as text), 0, null)")
        return tmp_path / "评论.db"

    def reader(self, file: Path, **settings: Any) -> SqlReader:
        return SqlReader(type="sql", url=f"sqlite:///{file}", **settings)

    def test_a_table_by_its_primary_key(self, file: Path) -> None:
        columns, places, [refusal] = read_all(self.reader(file, table="reviews"))
        assert columns["text"] == ["NA", "x" * 9, "好"]
        assert (columns["label"], columns["at"], places) == ([0, 1, 1], [None, None, "2020-01-02"], [1, 2, 3])
        assert (refusal.place, refusal.reason, refusal.raw) == (4, "invalid-utf8", b"a\xff")

    def test_a_query_in_batches(self, file: Path) -> None:
        with sqlite3.connect(file) as database:
            rows = ((n, f"text {n}", n % 2) for n in range(10, 12_010))
            database.executemany("insert into reviews (id, text, label) values (?, ?, ?)", rows)
        query = (
            "select text, label as good, '10:30' as at from reviews where id >= 10 and text like '%t%' order by id desc"
        )
        reader = self.reader(file, query=query)
        assert len(list(reader.read())) == 3
        columns, places, _ = read_all(reader)
        assert (list(columns), len(columns["text"]), columns["text"][0]) == (
            ["text", "good", "at"],
            12_000,
            "text 12009",
        )
        assert places == list(range(1, 12_001))

    def test_a_changed_row_is_another_input_and_nothing_is_written(self, file: Path) -> None:
        reader, before = self.reader(file, table="reviews"), file.read_bytes()
        key = reader.identity()
        read_all(reader)
        assert file.read_bytes() == before
        assert reader.identity() == key == self.reader(file.rename(file.with_name("b.db")), table="reviews").identity()
        with sqlite3.connect(file.with_name("b.db")) as database:
            database.execute("update reviews set text = 'NB' where id = 1")
        assert self.reader(file.with_name("b.db"), table="reviews").identity() != key

    def test_paths_and_passwords(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = {"type": "sql", "url": f"sqlite:///{file.name}", "table": "reviews"}
        assert SqlReader.model_validate(settings, context={"folder": file.parent}).url == f"sqlite:///{file}"
        monkeypatch.setenv("DATABASE", f"sqlite:///{file}")
        reader = SqlReader(type="sql", url="${DATABASE}", table="reviews")
        assert (reader.url, len(read_all(reader)[1])) == ("${DATABASE}", 3)
        with pytest.raises(ValidationError, match="NOWHERE is not set"):
            SqlReader(type="sql", url="${NOWHERE}", table="reviews")

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"table": "review"}, "no table 'review'; the database has reviews"),
            ({"query": "select texts from reviews"}, "no such column: texts"),
            ({"query": "select 1 as a, 2 as a"}, "two columns 'a'"),
            ({"query": "delete from reviews"}, "gives no rows"),
            ({"url": "sqlite:///${FOLDER}/nothing.db", "table": "a"}, "there is no file"),
            ({"url": "nosuch://x:secret@host/y", "table": "a"}, "the url cannot be used"),
            ({"url": "reviews.db", "table": "a"}, "the url cannot be used"),
        ],
    )
    def test_what_cannot_be_meant(
        self, settings: dict[str, Any], message: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FOLDER", str(file.parent))
        with pytest.raises(DataError, match=message) as caught:
            read_all(SqlReader(**{"type": "sql", "url": f"sqlite:///{file}"} | settings))
        assert "secret" not in str(caught.value)
        assert not (file.parent / "nothing.db").exists()
        assert len(read_all(self.reader(file, table="reviews"))[1]) == 3  # nothing was deleted

    def test_without_sqlalchemy(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "sqlalchemy", None)
        with pytest.raises(PluginError, match=r"hft-core\[sql\]"):
            read_all(self.reader(file, table="reviews"))
