"""Memory by the size of the corpus: what each step of a pre-training recipe keeps resident (Linux only).

    python -m tests.benchmarks.memory [--sizes 0.2 2] [--folder FOLDER]

Generates corpora of so many gigabytes, one text a line: English-looking words and, in every tenth line, Chinese without
spaces, both drawn by rank from vocabularies (Zipf), so that a tokenizer sees new words to the end. Then `hft run`'s own
steps are carried out, each in a process of its own that finds the steps before it in the store: prepare (with whitespace
and duplicates cleaned), train a byte-level BPE tokenizer, encode (packed into blocks of 64 tokens), and 30 steps of a tiny
GPT with 2 loader workers and its held-out loss, which reads all shards, before and after. The parent looks at /proc every
50 ms. The corpora lie in a temporary folder (about 6 times their size is needed) and are deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEPS = 30
_BATCH = 32
_BLOCK = 64
_WORKERS = 2
_EVERY = 0.05  # seconds between two looks
_LINES = 20_000  # that are generated together
_CHINESE = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Memory by the size of the corpus.")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.2, 2.0], help="gigabytes")
    parser.add_argument("--folder", type=Path, help="where to put the corpora; default: the system's temporary folder")
    parser.add_argument("--node", type=int, help=argparse.SUPPRESS)  # of the child: the last node to carry out
    arguments = parser.parse_args()
    if arguments.node is not None:
        _carry_out(arguments.folder, arguments.node)
        return
    measured: dict[float, dict[str, Peak]] = {}
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="hft-memory-") as folder:
            measured[size] = _measure(Path(folder), size)
    heads = [f"{size:g} GB: private MB | resident MB | CPU s" for size in measured]
    print(f"\n| step | {' | '.join(heads)} |\n|---|{'---|---|---|' * len(measured)}")
    for step in next(iter(measured.values())):
        peaks = [peaks[step] for peaks in measured.values()]
        print(f"| {step} | {' | '.join(f'{p.private:.0f} | {p.resident:.0f} | {p.cpu:.0f}' for p in peaks)} |")


# ---- the corpus ----


def write_corpus(path: Path, size: int, seed: int = 0) -> int:
    """Write about `size` bytes of text, a line at a time; gives the number of lines."""
    random = np.random.default_rng(seed)
    vocabularies = [_words(random, 100_000, list(ascii_lowercase), 8), _words(random, 50_000, _CHINESE, 3)]
    between, end = (" ", ""), (".", "。")
    lines = 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            counts = random.integers(8, 40, _LINES)
            drawn = [iter(_zipf(random, len(words), counts.sum())) for words in vocabularies]
            for number, count in enumerate(counts.tolist()):
                language = int(number % 10 == 0)
                words = [vocabularies[language][rank] for rank in islice(drawn[language], count)]
                file.write(between[language].join(words) + end[language] + "\n")
            lines += _LINES
    return lines


def _words(random: np.random.Generator, count: int, letters: list[str], longest: int) -> list[str]:
    lengths = random.integers(1, longest + 1, count).tolist()
    drawn = iter(random.integers(0, len(letters), sum(lengths)).tolist())
    return ["".join(letters[next(drawn)] for _ in range(length)) for length in lengths]


def _zipf(random: np.random.Generator, words: int, count: int) -> list[int]:
    """Ranks: the word of rank r with a probability that goes like 1 / (r + 2.7) (Mandelbrot's form)."""
    weights: NDArray[np.float64] = np.cumsum(1 / (np.arange(words) + 2.7))
    ranks: list[int] = np.searchsorted(weights, random.random(count) * weights[-1]).tolist()
    return ranks


# ---- one size ----


@dataclass
class Peak:
    """The most that was seen, megabytes."""

    private: float = 0.0
    """Anonymous memory: what the process has allocated."""
    resident: float = 0.0
    """With pages of mapped files that are in memory: code of libraries, and data."""
    cpu: float = 0.0
    """Seconds, user and system."""

    def see(self, process: int) -> None:
        """Look at a process; one that has ended is passed over."""
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            return
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if "RssAnon" in fields:
            self.private = max(self.private, _megabytes(fields["RssAnon"]))
            self.resident = max(self.resident, _megabytes(fields["VmRSS"]))


def _megabytes(field: str) -> float:
    return int(field.split()[0]) / 1000


def _measure(folder: Path, size: float) -> dict[str, Peak]:
    lines = write_corpus(folder / "corpus.txt", int(size * 1e9))
    print(f"{size:g} GB: {lines:,} lines", file=sys.stderr)
    peaks: dict[str, Peak] = {}
    for number, name in enumerate(("prepare", "tokenizer", "encode", "train")):
        _write_recipe(folder)
        peaks[name], worker = _watch(folder, number)
        if worker.resident:
            peaks[f"{name}: largest loader worker"] = worker
        print(f"{size:g} GB {name}: {peaks[name]}", file=sys.stderr)
    print(f"{size:g} GB: {_encoded(folder)}", file=sys.stderr)
    return peaks


def _watch(folder: Path, node: int) -> tuple[Peak, Peak]:
    """Carry out one node in a process; gives the peaks of it, and of the largest of its children."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", "--folder", str(folder), "--node", str(node)]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "HFT_STORE": str(folder / "store")}
    process = subprocess.Popen(command, env=environment)
    own, worker = Peak(), Peak()
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        own.see(process.pid)
        for child in _children(process.pid):
            worker.see(child)
        time.sleep(_EVERY)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    own.cpu = usage.ru_utime + usage.ru_stime
    return own, worker


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


# ---- the child ----


def _write_recipe(folder: Path) -> None:
    """A recipe whose share of an epoch is the wanted number of steps, as soon as the rows are counted."""
    found = _encoded(folder)
    recipe: dict[str, Any] = {
        "name": "memory",
        "data": {"corpus": {"type": "text", "path": str(folder / "corpus.txt")}},
        "model": {
            "type": "gpt",
            "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 4000}},
            "max_length": _BLOCK,
        },
        "prepare": {"clean": [{"type": "whitespace"}, {"type": "exact-duplicates"}]},
        "stages": [
            {
                "stage": "pretrain",
                "objectives": [{"type": "causal-lm", "data": "corpus", "block": _BLOCK}],
                "epochs": _STEPS / (0.99 * found["entries"] / _BATCH) if found else 1,
                "batch_size": _BATCH,
                "workers": _WORKERS,
                "optimizer": {"type": "adamw", "lr": 1e-3},
            }
        ],
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")


def _encoded(folder: Path) -> dict[str, Any]:
    """What the step `encode` wrote down, if it is done."""
    notes = list((folder / "store" / "objects").glob("*/encoded.json"))
    return dict(json.loads(notes[0].read_text("utf-8"))) if notes else {}


def _carry_out(folder: Path, last: int) -> None:
    """Carry out the recipe up to the node `last`; those before it are in the store."""
    from hft_core.pipeline.execute import execute
    from hft_core.pipeline.plan import build_plan
    from hft_core.pipeline.progress import Progress
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry
    from hft_core.store.store import Store
    from hft_core.training.stopping import StopRequest

    registry = load_registry()
    plan = build_plan(load_recipe(folder / "recipe.yaml", registry), registry)
    execute(plan.nodes[: last + 1], Store(folder / "store"), Progress(), StopRequest())


if __name__ == "__main__":
    main()
