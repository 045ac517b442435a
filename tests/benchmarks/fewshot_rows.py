"""Few-shot splits of AG News and SST-2: the rows that both arms read. Imports the standard library only.

AG News: training rows of ${HFT_DATA}/ag_news/train.csv, which have descriptions without titles, and the descriptions of the
7,600 official test rows. Where a text stands in both, compared by its letters and digits alone, the training row is left out.
SST-2: training rows of train.tsv, less those that stand in dev.tsv too, which is the test. Copies within the pool count once.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
from collections import defaultdict
from pathlib import Path

Row = tuple[str, str]
TASKS = ("sst2", "ag_news")
_NAMES = ("world", "sports", "business", "science")


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def _file(root: Path, *parts: str) -> Path:
    file = (Path(os.environ.get("HFT_DATA") or root.parent / "shared" / "data")).joinpath(*parts)
    if not file.is_file():
        raise SystemExit(f"not run: there is no {file}; set HFT_DATA")
    return file


def _tsv(file: Path) -> list[Row]:
    rows = [line.rsplit("\t", 1) for line in file.read_text("utf-8").splitlines() if line.strip()]
    return [(text, ("negative", "positive")[int(label)]) for text, label in rows]


def pool_and_test(task: str, root: Path) -> tuple[list[Row], list[Row]]:
    """Give the rows to draw from, and those to measure by."""
    if task == "sst2":
        pool, test = (_tsv(_file(root, "sst2", f"{split}.tsv")) for split in ("train", "dev"))
    else:
        with _file(root, "ag_news", "train.csv").open(encoding="utf-8", newline="") as stream:
            pool = [(text.replace("\t", " "), _NAMES[int(label)]) for label, text in csv.reader(stream)]
        with _file(root, "ag_news_test7600", "test.csv").open(encoding="utf-8", newline="") as stream:
            test = [(text, _NAMES[int(label) - 1]) for label, _, text in csv.reader(stream)]
    seen = {_bare(text) for text, _ in test}
    kept: list[Row] = []
    for text, label in pool:
        if _bare(text) not in seen:
            seen.add(_bare(text))
            kept.append((text, label))
    return kept, test


def draw(pool: list[Row], shots: int, split: int) -> list[Row]:
    """Draw so many rows of each label; `split` is the seed."""
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in pool:
        by_label[row[1]].append(row)
    chosen = random.Random(f"{shots} {split}")
    rows = [row for label in sorted(by_label) for row in chosen.sample(by_label[label], shots)]
    chosen.shuffle(rows)
    return rows


def write(file: Path, rows: list[Row]) -> None:
    """Write JSON Lines with `text` and `label`."""
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measured_rows(test: list[Row], limit: int | None) -> list[Row]:
    """All test rows, or the same `limit` of them each time."""
    if limit is None or limit >= len(test):
        return test
    return random.Random(0).sample(test, limit)
