"""Samples of the readers: files with good and bad records, and how many there are."""

from __future__ import annotations

import json
from pathlib import Path

from hft_core.testing import Sample

_SQUAD = {
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "Marie Curie was born in Warsaw.",
                    "qas": [
                        {"id": "1", "question": "Where?", "answers": [{"text": "Warsaw", "answer_start": 24}]},
                        {"id": "2", "question": "Who?", "answers": [{"text": "Marie Curie", "answer_start": 0}]},
                    ],
                }
            ],
        }
    ]
}
_ROWS = {"text": ["a good film", "这家店很差", "fine"], "label": ["pos", "neg", "pos"]}


def _parquet(folder: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(_ROWS), folder / "rows.parquet")


def _dataset(folder: Path) -> None:
    import datasets

    datasets.Dataset.from_dict(_ROWS).save_to_disk(str(folder / "saved"))


def _database(folder: Path) -> None:
    import sqlite3

    with sqlite3.connect(folder / "rows.db") as connection:
        connection.execute("create table reviews (text text, label text)")
        connection.executemany("insert into reviews values (?, ?)", zip(*_ROWS.values(), strict=True))
    connection.close()


SAMPLES = {
    "csv": Sample(
        settings={"path": "rows.csv"},
        files={"rows.csv": "text,label\na good film,pos\n这家店很差,neg\none,two,three\n"},
        records=3,
    ),
    "jsonl": Sample(
        settings={"path": "rows.jsonl"},
        files={
            "rows.jsonl": '{"text": "a good film", "label": "pos"}\n{"text": "这家店很差", "label": "neg"}\n{broken\n'
        },
        records=3,
    ),
    "text": Sample(
        settings={"path": "rows.txt"}, files={"rows.txt": "a good film\n这家店很差\n".encode() + b"\xff\xfe bad\n"}
    ),
    "conll": Sample(
        settings={"path": "rows.conll"},
        files={"rows.conll": "Marie B-PER\nCurie I-PER\nsmiled O\n\n北 B-LOC\n京 I-LOC\n\n"},
        records=2,
    ),
    "squad": Sample(settings={"path": "rows.json"}, files={"rows.json": json.dumps(_SQUAD)}, records=2),
    "parallel": Sample(
        settings={"paths": ["rows.en", "rows.zh"]},
        files={"rows.en": "good morning\nthank you\n", "rows.zh": "早上好\n谢谢\n"},
        records=2,
    ),
    "parquet": Sample(settings={"path": "rows.parquet"}, prepare=_parquet, records=3),
    "dataset": Sample(settings={"path": "saved"}, prepare=_dataset, records=3),
    "sql": Sample(settings={"url": "sqlite:///rows.db", "table": "reviews"}, prepare=_database, records=3),
}
