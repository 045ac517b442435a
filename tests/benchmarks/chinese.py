"""What pre-training on other Chinese text brings: a BERT mini on waimai_10k with few labels and with all, with and without it.

    HFT_DATA=path/to/data python -m tests.benchmarks.chinese [--folder DIR] [--sizes 500 2000 all] [--seeds 3] [--epochs 2]
        [--limit ROWS]

The model (4 layers of width 256) is pre-trained on the reviews of online_shopping_10_cats, with a tokenizer of its own trained
there; both arms use this tokenizer and the same recipe, and differ in the weights that they start from. Reviews of waimai_10k
that occur once, in an order drawn once: 2,000 to test, 1,000 for validation, the rest to train on; none of them stands in the
text that is pre-trained on. Differences are those of `hft compare`, over rows and seeds. One thread. What was done stays in
--folder, and the same call goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import arms
from tests.benchmarks.diagnosis_tasks import DEVELOPED, HELD_OUT, Rows

_TEST, _VALIDATION = 2000, 1000
ARMS = ("with", "without")


def main() -> None:
    """Run what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="default: a new one, which is removed")
    parser.add_argument("--sizes", nargs="+", default=["500", "2000", "all"], help="labelled rows to train on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=2, help="of pre-training")
    parser.add_argument("--limit", type=int, help="take only so many rows of each set")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        counts = _write(folder, options.sizes, options.limit)
        _carry_out(folder, "shopping", _pretraining(options.epochs))
        told = [_row(folder, size, counts[size], options.seeds) for size in options.sizes]
        arms.table(
            ["rows to train on", "with pre-training", "by seed", "without", "by seed", "difference", "interval",
             "training CPU s of a seed (mean): with", "without"],
            told,
        )  # fmt: skip
        note = json.loads((folder / "runs" / "shopping" / "report.json").read_text("utf-8"))
        found = note["stages"][-1]["perplexity"][0]
        cpu = note["cost"]["cpu_seconds"]
        print(
            f"\npre-training: {counts['corpus']:,} reviews, {note['stages'][-1]['steps']:,} steps, {cpu:,.0f} CPU s; "
            f"perplexity of hidden tokens {found['before']:.0f} before, {found['after']:.1f} after"
        )


def _write(folder: Path, sizes: Sequence[str], limit: int | None) -> dict[str, int]:
    """Write all files, and give their numbers of rows."""
    reviews = DEVELOPED["waimai_10k"]()
    found = Counter(text for text, _ in reviews)
    rows = [(text.strip(), label) for text, label in reviews if found[text] == 1 and text.strip()]
    random.Random(0).shuffle(rows)
    parts = {"test": rows[:_TEST], "validation": rows[_TEST : _TEST + _VALIDATION]}
    rest = rows[_TEST + _VALIDATION :]
    parts |= {f"train-{size}": rest if size == "all" else rest[: int(size)] for size in sizes}
    for name, part in parts.items():
        lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in part[:limit]]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = _others(HELD_OUT["online_shopping"](), {text for text, _ in rows})[:limit]
    (folder / "corpus.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return {size: len(parts[f"train-{size}"][:limit]) for size in sizes} | {"corpus": len(texts)}


def _others(rows: Rows, known: set[str]) -> list[str]:
    """Each text once, on a line of its own, without those that are known."""
    texts = (" ".join(text.split()) for text, _ in rows)
    return [text for text in dict.fromkeys(texts) if text and text not in known]


def _pretraining(epochs: float) -> dict[str, Any]:
    return {
        "data": {"corpus": {"type": "text", "path": "corpus.txt"}},
        "model": {
            "type": "bert",
            "source": {"scratch": "mini", "tokenizer": {"type": "wordpiece", "size": 6000}},
            "max_length": 128,
        },
        "stages": [
            {
                "stage": "pretrain",
                "objectives": [{"type": "masked-lm", "data": "corpus"}],
                "epochs": epochs,
                "batch_size": 32,
                "optimizer": {"type": "adamw", "lr": 1e-3},
            }
        ],
        "evaluate": {"metrics": [{"type": "perplexity"}]},
    }


def _finetuning(source: object, size: str, seeds: int) -> dict[str, Any]:
    files = {"train": f"train-{size}", "validation": "validation", "test": "test"}
    return {
        "data": {split: {"type": "jsonl", "path": f"{name}.jsonl"} for split, name in files.items()},
        "task": {"type": "text-classification"},
        "model": {"type": "bert", "source": source, "max_length": 128},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "batch_size": 32,
                "optimizer": {"type": "adamw", "lr": 2e-4},
            }
        ],
        "evaluate": {"metrics": [{"type": "accuracy"}], "seeds": seeds, "plain": False},
    }


def _row(folder: Path, size: str, rows: int, seeds: int) -> list[str]:
    """Carry out both arms on so many rows, and compare them."""
    fresh = {"scratch": "mini", "tokenizer": "runs/shopping/model"}
    runs = {}
    for arm, source in zip(ARMS, ("runs/shopping", fresh), strict=True):
        runs[arm] = _carry_out(folder, f"{arm}-{size}", _finetuning(source, size, seeds))
    compared = arms.run([sys.executable, "-m", "hft_core", "compare", *runs.values(), "--json"])
    found = json.loads(compared.output)["differences"][0]
    sign = 1 if found["run"] == 0 else -1
    low, high = sorted(100 * sign * found[name] for name in ("low", "high"))
    cells, times = [], []
    for run in runs.values():
        report = json.loads((run / "report.json").read_text("utf-8"))
        by_seed = [100 * one["figures"]["test"] for one in report["by_seed"]]
        mean = 100 * report["metrics"]["test"]["accuracy"]["value"]
        cells += [f"{mean:.2f}", ", ".join(f"{value:.2f}" for value in by_seed)]
        times.append(f"{report['cost']['cpu_seconds'] / seeds:.0f}")
    return [
        f"{rows:,}",
        *cells,
        f"{100 * sign * found['difference']:+.2f}",
        f"{low:+.2f} … {high:+.2f}",
        *times,
    ]


def _carry_out(folder: Path, name: str, recipe: dict[str, Any]) -> Path:
    """Run a recipe, or find it done in the store; gives the run's folder."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"name": name, **recipe}, ensure_ascii=False), encoding="utf-8")
    command = [sys.executable, "-m", "hft_core", "run", file]
    arms.run(command, HFT_STORE=str(folder / "store"), OMP_NUM_THREADS="1")
    print(json.dumps({"done": name}), flush=True)
    return folder / "runs" / name


if __name__ == "__main__":
    main()
