"""Rows for tests/benchmarks/diagnosis.py: tasks on which the rules were developed, and tasks kept apart from that."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.arms import ROOT

Rows = list[tuple[str, str]]
DATA = Path(os.environ.get("HFT_DATA") or ROOT.parent / "shared" / "data")


def _sst2() -> Rows:
    lines = (DATA / "sst2" / "train.tsv").read_text("utf-8").splitlines()
    return [(text, label) for text, label in (line.rsplit("\t", 1) for line in lines if line.strip())]


def _ag_news() -> Rows:
    with (DATA / "ag_news" / "train.csv").open(encoding="utf-8", newline="") as file:
        return [(text, label) for label, text in csv.reader(file)]


def _waimai() -> Rows:
    with (DATA / "waimai_10k" / "waimai_10k.csv").open(encoding="utf-8", newline="") as file:
        return [(row["review"], row["label"]) for row in csv.DictReader(file)]


def _json_lines(name: str) -> Rows:
    rows = map(json.loads, (DATA / name / "train.txt").read_text("utf-8").splitlines())
    return [(row["text"], row["label"]) for row in rows]


def _trec() -> Rows:
    lines = (DATA / "trec" / "TREC.train").read_text("latin-1").splitlines()
    return [(line.partition(" ")[2], line.partition(":")[0]) for line in lines if line.strip()]


def _shopping() -> Rows:
    with zipfile.ZipFile(DATA / "online_shopping_10_cats" / "online_shopping_10_cats.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".csv"))
        text = archive.read(name).decode("utf-8")
    return [(row["review"], row["label"]) for row in csv.DictReader(io.StringIO(text)) if row["review"].strip()]


DEVELOPED: dict[str, Callable[[], Rows]] = {
    "sst2": _sst2,
    "ag_news": _ag_news,
    "waimai_10k": _waimai,
}
HELD_OUT: dict[str, Callable[[], Rows]] = {
    "trec": _trec,
    "sci_cite": lambda: _json_lines("sci_cite"),
    "online_shopping": _shopping,
}
PRETRAINED: dict[str, Callable[[], Rows]] = {
    "trec, MiniLM": HELD_OUT["trec"],
    "sci_cite, MiniLM": HELD_OUT["sci_cite"],
    "sst2, MiniLM": DEVELOPED["sst2"],
}


def drawn(rows: Rows, train: int, validation: int, draw: random.Random) -> tuple[Rows, Rows]:
    """Draw rows with different texts."""
    chosen = list(dict(rows).items())
    draw.shuffle(chosen)
    return chosen[:train], chosen[train : train + validation]


def flipped(rows: Rows, share: float, draw: random.Random) -> Rows:
    """Give a share of the rows another label, which one at random."""
    labels = sorted({label for _, label in rows})
    return [
        (text, draw.choice([other for other in labels if other != label]) if draw.random() < share else label)
        for text, label in rows
    ]


def imbalanced(rows: Rows, train: int, validation: int, ratio: int, draw: random.Random) -> tuple[Rows, Rows]:
    """Draw rows of the two most frequent labels, one of which has `ratio` times as many."""
    by_label: dict[str, Rows] = {}
    for text, label in dict(rows).items():
        by_label.setdefault(label, []).append((text, label))
    many, few = sorted(by_label.values(), key=len, reverse=True)[:2]
    draw.shuffle(many)
    draw.shuffle(few)
    parts = []
    for count in (train, validation):
        rare = max(1, round(count / (ratio + 1)))
        part = [many.pop() for _ in range(min(len(many), count - rare))] + [few.pop() for _ in range(rare)]
        draw.shuffle(part)
        parts.append(part)
    return parts[0], parts[1]
