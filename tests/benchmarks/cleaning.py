"""Near duplicates beside datasketch, and what basic cleaning with its ledger costs.

    HFT_DATA=path/to/data python -m tests.benchmarks.cleaning [--rows 20000] [--runs 3] [--environment FOLDER]

Texts are SST-2's sentences and the Chinese reviews of waimai_10k; every fifth is a copy of another one with a few
characters changed, and some get tags, entities, spaces or invisible characters. datasketch is installed into an
environment of its own (`--environment`, default: a temporary one). Arms run in turn, each in a fresh process; CPU seconds
of the work alone, without imports and reading.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from tests.benchmarks import arms
from tests.benchmarks.peer_near_duplicates import ngrams

PEER = "datasketch==2.0.0"
THRESHOLD = 0.8


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--environment", type=Path)
    options.add_argument("--arm", choices=["near", "clean"], help=argparse.SUPPRESS)
    options.add_argument("--texts", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.arm:
        texts = json.loads(chosen.texts.read_text(encoding="utf-8"))
        print(json.dumps(near_duplicates(texts) if chosen.arm == "near" else clean(texts)))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(chosen.rows, chosen.runs, chosen.environment or Path(folder) / "environment", Path(folder))


def compare(rows: int, runs: int, environment: Path, folder: Path) -> None:
    """Measure all arms, and print the tables."""
    python = environment / "bin" / "python"
    if not python.is_file():
        venv.create(environment, with_pip=True)
        arms.run([python, "-m", "pip", "install", "-q", PEER])
    file = folder / "texts.json"
    texts = some_texts(rows)
    file.write_text(json.dumps(texts), encoding="utf-8")
    own = [sys.executable, "-m", "tests.benchmarks.cleaning", "--texts", file]
    peer = [python, Path(__file__).with_name("peer_near_duplicates.py"), file, THRESHOLD]
    commands = {
        "hft": [*own, "--arm", "near"],
        "datasketch": [*peer, "sha1"],
        "datasketch, crc32": [*peer, "crc32"],
        "clean": [*own, "--arm", "clean"],
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            found[name].append(json.loads(arms.run([str(part) for part in command], OMP_NUM_THREADS="1").output))
    expected = brute_force(texts)
    seconds = {name: statistics.median(one["cpu_s"] for one in all_runs) for name, all_runs in found.items()}
    table = []
    for name in list(commands)[:3]:
        pairs = {tuple(pair) for pair in found[name][-1]["pairs"]}
        hit = f"{100 * len(pairs & expected) / max(1, len(expected)):.2f} %"
        rate = f"{len(texts) / seconds[name]:,.0f}"
        table.append(
            [name, f"{seconds[name]:.2f}", rate, f"{seconds[name] / seconds['hft']:.1f}", str(len(pairs)), hit]
        )
    arms.table(
        ["arm", "CPU s", "texts per CPU s", "ratio to hft", "pairs", f"of {len(expected)} by brute force"], table
    )
    rate = f"{len(texts) / seconds['clean']:,.0f}"
    touched = ", ".join(f"{name} {count}" for name, count in found["clean"][-1]["touched"].items())
    arms.table(
        ["arm", "CPU s", "texts per CPU s", "rows touched"], [["cleaning", f"{seconds['clean']:.3f}", rate, touched]]
    )


def some_texts(rows: int) -> list[str]:
    """English and Chinese texts in equal parts, with near duplicates and dirt; always the same."""
    root = Path(arms.os.environ.get("HFT_DATA") or arms.ROOT.parent / "shared" / "data")
    arms.require(root / "waimai_10k" / "waimai_10k.csv")
    with (root / "waimai_10k" / "waimai_10k.csv").open(encoding="utf-8") as stream:
        chinese = [row["review"] for row in csv.DictReader(stream)]
    english = [text for split in ("train", "dev", "test") for text, _ in arms.sst2(split)]
    draw = random.Random(0)
    draw.shuffle(chinese)
    draw.shuffle(english)
    half = rows // 2
    kept = [text for part in (english, chinese) for text in part[: half * 4 // 5]]
    texts = kept + [changed(draw.choice(kept), draw) for _ in range(rows - len(kept))]
    draw.shuffle(texts)
    return texts


def changed(text: str, draw: random.Random) -> str:
    """Change up to one character in twenty-five, and perhaps add dirt."""
    characters = list(text)
    for _ in range(draw.randint(0, max(1, len(text) // 25))):
        characters[draw.randrange(len(characters))] = draw.choice("abcdefg的一是好")
    dirt = draw.choice(["", "", " <br/>", "  ", "\u200b", " &amp;", "\xa0"])
    return "".join(characters) + dirt


def near_duplicates(texts: list[str]) -> dict[str, Any]:
    """Find all pairs with hft, those among equal texts written out."""
    from hft_core import TextIndex

    began = time.process_time()
    index = TextIndex(THRESHOLD)
    for start in range(0, len(texts), 4096):
        index.add(texts[start : start + 4096])
    found = index.pairs()
    members: dict[int, list[int]] = {}
    for row, first in enumerate(found.first.tolist()):
        members.setdefault(first, []).append(row)
    pairs = [
        (one, other) for group in members.values() for place, one in enumerate(group) for other in group[place + 1 :]
    ]
    for left, right in found.rows.tolist():
        pairs += [(min(one, other), max(one, other)) for one in members[left] for other in members[right]]
    return {"cpu_s": time.process_time() - began, "pairs": pairs}


def clean(texts: list[str]) -> dict[str, Any]:
    """Repair Unicode, HTML and whitespace, with everything counted in the ledger."""
    from hft_core import Roles
    from hft_core.data.cleaning import clean_texts
    from hft_core.data.ledger import Ledger
    from hft_plugins.cleaners.html import HtmlCleaner
    from hft_plugins.cleaners.unicode import UnicodeCleaner
    from hft_plugins.cleaners.whitespace import WhitespaceCleaner

    cleaners = [UnicodeCleaner(type="unicode"), HtmlCleaner(type="html"), WhitespaceCleaner(type="whitespace")]
    batches = [{"text": texts[start : start + 4096]} for start in range(0, len(texts), 4096)]
    ledger = Ledger(read=len(texts))
    began = time.process_time()
    kept = sum(
        len(columns["text"])
        for columns in clean_texts(batches, cleaners, Roles(text=("text",)), ledger, drop_empty=True)
    )
    seconds = time.process_time() - began
    assert kept == ledger.kept
    return {"cpu_s": seconds, "touched": dict(ledger.touched)}


def brute_force(texts: list[str]) -> set[tuple[int, int]]:
    """Compare all texts with each other by their sets of n-grams."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    table = CountVectorizer(analyzer=ngrams, binary=True, dtype=np.int32).fit_transform(texts).tocsr()
    sizes = np.asarray(table.sum(axis=1)).ravel()
    found: set[tuple[int, int]] = set()
    for start in range(0, len(texts), 500):
        shared = (table[start : start + 500] @ table.T).tocoo()
        left, right = shared.row + start, shared.col
        alike = shared.data >= THRESHOLD * (sizes[left] + sizes[right] - shared.data) - 1e-9
        found.update(
            (one, other) for one, other in zip(left[alike].tolist(), right[alike].tolist(), strict=True) if one < other
        )
    return found


if __name__ == "__main__":
    main()
