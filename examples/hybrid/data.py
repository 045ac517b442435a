"""Writes a public task as three files of JSON Lines with `text` and `label`, the rows divided and without leaks.

    python data.py TASK FOLDER [--limit ROWS]

Reads ${HFT_DATA} (see README.md); writes FOLDER/train.jsonl, validation.jsonl and test.jsonl. A row of train whose text
stands in validation or test is left out, and so is one of validation that stands in test; copies within a file of these two
count once. Texts are compared by their letters, digits and doubled brackets. What is drawn, is drawn with a fixed seed: the
files are the same each time. Of the validation rows that a task comes with 200 are drawn. Where it has none, a tenth of
train's is set aside, at most 200; where that is under 100, which are too few to choose an epoch by, two rows of each label.
Standard library only.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

Row = tuple[str, str]
"""A text and its label."""
HELD = 200
"""Validation rows at most: they are read again after every epoch, and choose no more than that."""


@dataclass(frozen=True)
class Source:
    """A public task: its files, how they are read, and what is drawn of them."""

    read: Callable[[Path], list[Row]]
    train: str
    test: str
    validation: str | None = None
    """None: rows are set aside of train's."""
    rows: int | None = None
    """Draw so many labelled rows, those that are set aside among them; None: all."""
    tested: int | None = None
    """Draw so many rows of the test; None: all."""
    letters: int | None = None
    """Compare only so many letters of a text, where a file has its texts cut short."""


def _tabs(file: Path) -> list[Row]:
    lines = (line.rsplit("\t", 1) for line in file.read_text("utf-8").splitlines() if line.strip())
    return [(text, ("negative", "positive")[int(label)]) for text, label in lines]


def _json_lines(file: Path) -> list[Row]:
    rows = (json.loads(line) for line in file.read_text("utf-8").split("\n") if line.strip())
    return [(row["text"], row["label"]) for row in rows]


def _questions(file: Path) -> list[Row]:
    lines = (line.split(" ", 1) for line in file.read_text("latin-1").splitlines() if line.strip())
    return [(text, label.split(":")[0]) for label, text in lines]


def _news(file: Path) -> list[Row]:
    """Descriptions without titles; the official file counts its classes from 1 and has a column for the title."""
    names = ("world", "sports", "business", "science")
    with file.open(encoding="utf-8", newline="") as stream:
        rows = [(row[0], row[-1], len(row) == 3) for row in csv.reader(stream)]
    return [(text, names[int(label) - official]) for label, text, official in rows]


def _scientific(name: str) -> Source:
    return Source(_json_lines, f"{name}/train.txt", f"{name}/test.txt", f"{name}/dev.txt")


TASKS = {
    "sst2-1000": Source(_tabs, "sst2/train.tsv", "sst2/test.tsv", "sst2/dev.tsv", rows=1000),
    "ag-news-400": Source(_news, "ag_news/train.csv", "ag_news_test7600/test.csv", rows=400, tested=2000, letters=60),
    "citation-intent": _scientific("citation_intent"),
    "trec": Source(_questions, "trec/TREC.train", "trec/TREC.test"),
    "sciie": _scientific("sciie"),
    "sst2": Source(_tabs, "sst2/train.tsv", "sst2/test.tsv", "sst2/dev.tsv"),
    "sci-cite": _scientific("sci_cite"),
}


def bare(text: str, letters: int | None = None) -> str:
    """Give what a text is compared by; the doubled brackets are what tells rows of one sentence apart in SciERC."""
    return "".join(re.findall(r"\w|\[\[|\]\]|<<|>>", text.lower()))[:letters]


def without(rows: Iterable[Row], others: Iterable[Row], letters: int | None = None) -> list[Row]:
    """Give the rows that stand neither among the others nor further up."""
    seen = {bare(text, letters) for text, _ in others}
    kept = []
    for text, label in rows:
        if (key := bare(text, letters)) not in seen:
            seen.add(key)
            kept.append((text, label))
    return kept


def set_aside(rows: list[Row], draw: random.Random) -> tuple[list[Row], list[Row]]:
    """Divide rows into those to train on and those to validate by."""
    count = min(HELD, len(rows) // 10)
    if count >= 100:
        chosen = set(draw.sample(range(len(rows)), count))
    else:
        by_label: dict[str, list[int]] = defaultdict(list)
        for index, (_, label) in enumerate(rows):
            by_label[label].append(index)
        chosen = {index for label in sorted(by_label) for index in by_label[label][:2]}
    return (
        [row for index, row in enumerate(rows) if index not in chosen],
        [row for index, row in enumerate(rows) if index in chosen],
    )


def splits(task: str, data: Path, limit: int | None = None) -> dict[str, list[Row]]:
    """Give `train`, `validation` and `test` of a task of `TASKS`, each cut to `limit` rows."""
    source, draw = TASKS[task], random.Random(0)
    test = source.read(data / source.test)
    if source.tested:
        test = draw.sample(test, source.tested)
    pool = source.read(data / source.train)
    if source.validation:
        validation = without(source.read(data / source.validation), test, source.letters)
        train = without(pool, [*validation, *test], source.letters)
        train = draw.sample(train, source.rows or len(train))
        validation = draw.sample(validation, min(HELD, len(validation)))
    else:
        clean = without(pool, test, source.letters)
        train, validation = set_aside(draw.sample(clean, source.rows or len(clean)), draw)
    return {"train": train[:limit], "validation": validation[:limit], "test": test[:limit]}


def leaked(task: str, data: Path) -> set[str]:
    """Give the texts of the test that stand in the train or validation file as published, where `splits` leaves them out."""
    source = TASKS[task]
    files = [name for name in (source.train, source.validation) if name]
    seen = {bare(text, source.letters) for name in files for text, _ in source.read(data / name)}
    return {text for text, _ in source.read(data / source.test) if bare(text, source.letters) in seen}


def write(task: str, data: Path, folder: Path, limit: int | None = None) -> dict[str, list[Row]]:
    """Write `SPLIT.jsonl` for each of `splits`, and give them."""
    folder.mkdir(parents=True, exist_ok=True)
    found = splits(task, data, limit)
    for split, rows in found.items():
        lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, help="write only so many rows of each file")
    options = parser.parse_args()
    if "HFT_DATA" not in os.environ:
        parser.error("set HFT_DATA to the folder with the public files; README.md says how it is laid out")
    for split, rows in write(options.task, Path(os.environ["HFT_DATA"]), options.folder, options.limit).items():
        print(f"{options.folder / split}.jsonl: {len(rows)} rows")


if __name__ == "__main__":
    main()
