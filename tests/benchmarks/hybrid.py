"""examples/hybrid/recipe.yaml beside the Trainer at a strong setting: the same tasks, files and model, over seeds.

    HFT_DATA=path/to/data python -m tests.benchmarks.hybrid --peer PATH/peer_trainer.py [--tasks sst2-1000 trec …]
        [--seeds 0 1 2] [--results FILE] [--limit ROWS] [--print]

The files are those that examples/hybrid/data.py writes; all-MiniLM-L6-v2 on both sides, bfloat16 where it is fast,
batches of similar length, 32 rows a step, texts of at most 128 tokens. The recipe is the same for all tasks but for the data.
The peer trains 15 epochs (SST-2 in full: 5) at 1e-4 with 10 % warm-up; where a task comes without validation rows, it trains
on train and validation together. CPU time is user and system of training: all stages of hft with their validations, and
`Trainer.train()`. One thread each, every arm in a process of its own, in turn, seed by seed, the cheapest task first.

Every run is a line of --results (default: tests/benchmarks/results/hybrid.jsonl), with what it predicted of each row of the
test; what stands there already is not done again, unless the recipe or the files have changed. The tables at the end are
made of that file alone; --print makes nothing else, --recipe MARK those of an earlier recipe. See hybrid_table.py for the
intervals.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import arms
from tests.benchmarks.hybrid_table import METRICS, print_tables
from tests.loading import module_at

EXAMPLE = arms.ROOT / "examples" / "hybrid"
RESULTS = arms.HERE / "results" / "hybrid.jsonl"
ARMS = ("hft", "Trainer")
_EPOCHS = {"sst2": 5}
"""Of the peer, where they are not 15."""
_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "numpy")

Rows = Sequence[tuple[str, str]]


def main() -> None:
    """Run what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--peer", type=Path, default=arms.ROOT.parent / "shared" / "bench" / "peer_trainer.py")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--limit", type=int, help="take only so many rows of each file")
    parser.add_argument("--set", action="append", default=[], help="change the recipe, as `hft run --set` does")
    parser.add_argument("--print", action="store_true", help="print the tables of what there is, and run nothing")
    parser.add_argument(
        "--recipe", help="print the tables of this one, by its mark in the file; default: what ran last"
    )
    options = parser.parse_args()
    if not options.print:
        arms.require(options.peer)
        for task in options.tasks:
            _carry_out(task, options)
    print_tables(_lines(options.results), options.recipe)


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []


def _append(file: Path, line: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def _carry_out(task: str, options: argparse.Namespace) -> None:
    """Run both arms of a task on the seeds that are not there yet."""
    data = Path(os.environ.get("HFT_DATA") or arms.ROOT.parent / "shared" / "data")
    script = module_at(EXAMPLE / "data.py")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        splits: dict[str, Rows] = script.write(task, data, folder, options.limit)
        recipe = _recipe(folder, options.set)
        marks = {"hft": _digest({key: value for key, value in recipe.items() if key != "data"}), "Trainer": None}
        files = _digest(splits)
        labels = sorted({label for _, label in splits["train"]})
        lines = _lines(options.results)
        if not any(line["task"] == task and line["files"] == files and "right" in line for line in lines):
            leaked = script.leaked(task, data)
            about = {
                "labels": labels,
                "right": _numbers([label for _, label in splits["test"]], labels),
                "leaked": "".join("1" if text in leaked else "0" for text, _ in splits["test"]),
                "rows": {split: len(rows) for split, rows in splits.items()},
            }
            _append(options.results, {"task": task, "files": files} | about)
        with (folder / "all.jsonl").open("w", encoding="utf-8") as stream:
            parts = ["train"] if script.TASKS[task].validation else ["train", "validation"]
            stream.write("".join((folder / f"{split}.jsonl").read_text("utf-8") for split in parts))
        done = {tuple(line.get(key) for key in ("task", "files", "arm", "seed", "recipe")) for line in lines}
        for seed in options.seeds:
            for arm in ARMS:
                if (task, files, arm, seed, marks[arm]) in done:
                    continue
                run = _hft(recipe, folder, seed, labels) if arm == "hft" else _peer(options.peer, task, folder, seed)
                if run.pop("right") != _numbers([label for _, label in splits["test"]], labels):
                    sys.exit(f"{task}, {arm}: the rows that it predicted are not those of test.jsonl, in their order")
                key = {"task": task, "files": files, "arm": arm, "seed": seed, "recipe": marks[arm]}
                _append(options.results, key | run | _made_with())


def _recipe(folder: Path, changes: Sequence[str]) -> dict[str, Any]:
    """Give the example's recipe with the data in `folder`, without an export and a baseline that costs as much again."""
    from hft_core.recipe.overrides import apply_overrides
    from hft_core.recipe.yaml import read_yaml

    recipe: dict[str, Any] = read_yaml(EXAMPLE / "recipe.yaml")[0]
    apply_overrides(recipe, changes)
    for split, source in recipe["data"].items():
        source["path"] = str(folder / f"{split}.jsonl")
    recipe["evaluate"]["plain"] = False
    recipe.pop("export", None)
    return recipe


def _hft(recipe: Mapping[str, Any], folder: Path, seed: int, labels: Sequence[str]) -> dict[str, Any]:
    found = arms.measure_hft(recipe, seed, folder / f"hft-{seed}", "--pairs", OMP_NUM_THREADS="1")
    return {
        "train_cpu_s": round(found["train_cpu_s"] + found["validation_cpu_s"], 1),
        "validation_cpu_s": round(found["validation_cpu_s"], 1),
        "predicted": _numbers([predicted for _, predicted in found["pairs"]], labels),
        "right": _numbers([right for right, _ in found["pairs"]], labels),
    }


def _peer(script: Path, task: str, folder: Path, seed: int) -> dict[str, Any]:
    files = [arms.minilm(), folder / "all.jsonl", folder / "test.jsonl"]
    strong = ["--epochs", _EPOCHS.get(task, 15), "--lr", 1e-4, "--warmup", 0.1, "--group", *arms.fast_flags()]
    found = arms.measure(
        "Trainer", arms.HERE / "peer_predictions.py", script, *files, *strong, "--seeds", seed, OMP_NUM_THREADS="1"
    )
    digits = {name: "".join(map(str, found[name])) for name in ("predicted", "right")}
    return {"train_cpu_s": found["train_cpu_s"]} | digits


def _numbers(labels: Sequence[str], known: Sequence[str]) -> str:
    """Write labels as one digit each, their place among the known ones."""
    return "".join(str(known.index(label)) for label in labels)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def _made_with() -> dict[str, Any]:
    """Give the commit and the versions that matter."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=arms.ROOT, capture_output=True, text=True)
    return {"commit": commit.stdout.strip(), "versions": {name: version(name) for name in _PACKAGES}}


if __name__ == "__main__":
    main()
