"""Memory and time of the preparation of labelled rows, by their number (Linux only).

    python -m tests.benchmarks.prepare [--rows 100000 1000000] [--folder FOLDER]

Generates CSV files of text and label: 5 to 25 English-looking words or, in every tenth row, Chinese without spaces, three
labels, 2 % copies of earlier texts and 1 % malformed rows of several kinds. Then what `hft run` does first is carried out
in a process of its own: read, quarantine, set 10 % aside by hash and label, look for conflicts and odd rows, clean,
learn the labels; once with the cleaner `whitespace` alone and once with `exact-duplicates` too. The parent looks at /proc
every 50 ms. Read = kept + quarantined + dropped + set aside is checked, and the malformed rows are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np

from tests.benchmarks.memory import Peak

_EVERY = 0.05  # seconds between two looks
_AT_ONCE = 20_000  # rows that are generated together
_LABELS = ("bad", "fair", "good")
_MALFORMED = ("one field", "a,field,too many", '"never closed,good', '"a" stray quote,bad', ",fair", "no label,")
ARMS: dict[str, list[dict[str, Any]]] = {
    "whitespace": [{"type": "whitespace"}],
    "whitespace, exact-duplicates": [{"type": "whitespace"}, {"type": "exact-duplicates"}],
}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Memory and time of the preparation of labelled rows.")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where to put the files; default: the system's temporary folder")
    parser.add_argument("--arm", help=argparse.SUPPRESS)  # of the child
    arguments = parser.parse_args()
    if arguments.arm:
        _carry_out(arguments.folder, ARMS[arguments.arm])
        return
    print("| cleaners | rows | malformed | private MB | CPU s | rows per CPU s |\n|---|---|---|---|---|---|")
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="hft-prepare-") as name:
            folder = Path(name)
            malformed = write_rows(folder / "train.csv", rows)
            for arm in ARMS:
                peak = _watch(folder, arm)
                _check(folder, rows, malformed)
                speed = rows / peak.cpu
                print(
                    f"| {arm} | {rows:,} | {malformed:,} | {peak.private:.0f} | {peak.cpu:.0f} | {speed:,.0f} |",
                    flush=True,
                )


def write_rows(path: Path, rows: int, seed: int = 0) -> int:
    """Write so many rows, a part at a time; gives how many of them are malformed."""
    random = np.random.default_rng(seed)
    english = _vocabulary(random, list(ascii_lowercase), 50_000, 8)
    chinese = _vocabulary(random, [chr(code) for code in range(0x4E00, 0x4E00 + 3000)], 20_000, 3)
    malformed = 0
    earlier: list[str] = ["the first of all texts"]
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for start in range(0, rows, _AT_ONCE):
            count = min(_AT_ONCE, rows - start)
            kinds = random.integers(0, 100, count).tolist()
            lengths = random.integers(5, 26, count).tolist()
            words = iter(random.integers(0, 20_000, sum(lengths)).tolist())
            texts: list[str] = []
            for number, (kind, length) in enumerate(zip(kinds, lengths, strict=True)):
                drawn = [next(words) for _ in range(length)]
                if kind == 0:
                    file.write(f"{_MALFORMED[drawn[0] % len(_MALFORMED)]}\n")
                    malformed += 1
                    continue
                text = (
                    "".join(chinese[word] for word in drawn) if kind < 10 else " ".join(english[word] for word in drawn)
                )
                texts.append(earlier[drawn[0] % len(earlier)] if kind in (11, 12) else text)
                file.write(f"{texts[-1]},{_LABELS[(start + number) % 3]}\n")
            earlier = texts or earlier
    return malformed


def _vocabulary(random: np.random.Generator, letters: list[str], count: int, longest: int) -> list[str]:
    lengths = random.integers(1, longest + 1, count).tolist()
    drawn = iter(random.integers(0, len(letters), sum(lengths)).tolist())
    return ["".join(letters[next(drawn)] for _ in range(length)) for length in lengths]


def _watch(folder: Path, arm: str) -> Peak:
    """Prepare in a process of its own; gives its peak."""
    command = [sys.executable, "-m", "tests.benchmarks.prepare", "--folder", str(folder), "--arm", arm]
    process = subprocess.Popen(command, env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"})
    peak = Peak()
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        peak.see(process.pid)
        time.sleep(_EVERY)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    peak.cpu = usage.ru_utime + usage.ru_stime
    return peak


def _check(folder: Path, rows: int, malformed: int) -> None:
    """Hold that every row is accounted for."""
    ledger = json.loads((folder / "out" / "prepared.json").read_text("utf-8"))["ledger"]["train"]
    quarantined, dropped = sum(ledger["quarantined"].values()), sum(ledger["dropped"].values())
    with (folder / "out" / "quarantine.jsonl").open("rb") as file:
        lines = sum(1 for _ in file)
    if (ledger["read"], quarantined, lines) != (rows, malformed, malformed):
        sys.exit(
            f"{rows} rows with {malformed} malformed ones, but the ledger says {ledger} and the quarantine {lines}"
        )
    if ledger["kept"] + quarantined + dropped + ledger["moved"] != rows:
        sys.exit(f"the sums do not match: {ledger}")


def _carry_out(folder: Path, cleaners: list[dict[str, Any]]) -> None:
    """What the first step of a run does."""
    import shutil

    from hft_core.data.prepare import prepare_train, shares_of
    from hft_plugins.cleaners.duplicates import ExactDuplicates
    from hft_plugins.cleaners.whitespace import WhitespaceCleaner
    from hft_plugins.readers.delimited import CsvReader
    from hft_plugins.text_classification.task import TextClassification

    classes = {"whitespace": WhitespaceCleaner, "exact-duplicates": ExactDuplicates}
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    task = TextClassification(type="text-classification")
    reader = CsvReader(type="csv", path=folder / "train.csv")
    clean = [classes[settings["type"]].model_validate(settings) for settings in cleaners]
    prepare_train(task, reader, shares_of(None, ["train"]), clean, folder / "out")


if __name__ == "__main__":
    main()
