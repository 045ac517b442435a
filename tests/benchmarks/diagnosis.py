"""How often planted faults are diagnosed, and what is said of healthy runs: one JSON line per run, resumable.

    HFT_DATA=path/to/data python -m tests.benchmarks.diagnosis RESULTS.jsonl [--facts] [--tasks developed | held-out | pretrained]

Each run trains a very small BERT from nothing on rows drawn anew from a data set. The faults: the rate ×100 and ÷100, 30 %
of the labels of train and validation flipped, three steps, texts cut to 8 tokens, a label with one row for 50 of the other.
The same command goes on where it was stopped. `--tasks developed` runs the tasks on which the rules were made, `held-out`
(the default) others, and `pretrained` all-MiniLM-L6-v2 on three English tasks with nothing planted, and not a number in the
recipe: runs that do well. `--facts` keeps what the diagnosis goes by with each line, some 30 kB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.arms import MINILM
from tests.benchmarks.diagnosis_tasks import DEVELOPED, HELD_OUT, PRETRAINED, Rows, drawn, flipped, imbalanced

FAULTS = {
    "rate ×100": "learning-rate-too-high",
    "rate ÷100": "learning-rate-too-low",
    "flipped labels": "label-noise",
    "three steps": "too-few-steps",
    "8 tokens": "truncated-texts",
    "1:50": "imbalance",
}
TASKS = {"developed": DEVELOPED, "held-out": HELD_OUT, "pretrained": PRETRAINED}
TRAIN, VALIDATION = 700, 200
RATE, EPOCHS, BATCH = 2e-3, 5, 16


def recipe(folder: Path, fault: str | None, seed: int) -> dict[str, Any]:
    """The recipe of a run, healthy but for its fault."""
    steps = -(-TRAIN // BATCH)
    return {
        "name": "planted",
        "seed": seed,
        "data": {name: {"type": "jsonl", "path": str(folder / f"{name}.jsonl")} for name in ("train", "validation")},
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {
            "type": "bert",
            "source": {
                "scratch": "tiny",
                "config": {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128},
                "tokenizer": {"type": "wordpiece", "size": 3000},
            },
            **({"max_length": 8} if fault == "8 tokens" else {}),
        },
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 3 / steps if fault == "three steps" else EPOCHS,
                "batch_size": BATCH,
                "optimizer": {
                    "type": "adam",
                    "lr": RATE * {"rate ×100": 100, "rate ÷100": 0.01}.get(fault or "", 1),
                },
            }
        ],
        "evaluate": {"metrics": [{"type": "accuracy"}, {"type": "f1"}], "plain": False},
        "precision": "fp32",
    }


def healthy(folder: Path, seed: int) -> dict[str, Any]:
    """The recipe of a run that begins with a trained model, all else as hft has it."""
    return recipe(folder, None, seed) | {
        "model": {"type": "bert", "source": MINILM},
        "stages": [{"stage": "finetune", "objectives": [{"type": "task", "data": "train"}]}],
        "precision": "auto",
    }


def planted(rows: Rows, fault: str | None, draw: random.Random) -> tuple[Rows, Rows]:
    """Rows to train and validate on, dirty where the fault is one of the data."""
    if fault == "1:50":
        return imbalanced(rows, TRAIN, VALIDATION, 50, draw)
    train, validation = drawn(rows, TRAIN, VALIDATION, draw)
    if fault == "flipped labels":
        both = flipped([*train, *validation], 0.3, draw)
        return both[: len(train)], both[len(train) :]
    return train, validation


def trained(rows: Rows, fault: str | None, number: int, store: Path, pretrained: bool) -> dict[str, Any]:
    """Carry out one run; gives its diagnosis, and what that went by."""
    import hft_core
    from hft_core.evidence.diagnosis import diagnose
    from hft_core.pipeline import report_diagnosis

    def recorded(facts: Any) -> Any:
        seen.append(facts)
        return diagnose(facts)

    seen: list[Any] = []
    setattr(report_diagnosis, "diagnose", recorded)  # noqa: B010  # what it goes by is kept as well
    began = time.process_time()
    os.environ["HFT_STORE"] = str(store)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, part in zip(("train", "validation"), planted(rows, fault, random.Random(number)), strict=True):
            lines = (json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in part)
            (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        content = healthy(folder, number) if pretrained else recipe(folder, fault, number)
        run = hft_core.run(content, out=folder / "run")
        report = json.loads((run.folder / "report.json").read_text("utf-8"))
    return {"cpu_s": round(time.process_time() - began, 2), "findings": report["diagnosis"], "seen": asdict(seen[0])}


def main() -> None:
    """Carry out what is missing in the file of results, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--tasks", choices=list(TASKS), default="held-out")
    parser.add_argument("--only", help="One of these tasks, so that several processes share the work.")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--facts", action="store_true")
    given = parser.parse_args()
    tasks, pretrained = TASKS[given.tasks], given.tasks == "pretrained"
    lines = (
        [json.loads(line) for line in given.results.read_text("utf-8").splitlines()] if given.results.is_file() else []
    )
    done = {(line["task"], line["fault"], line["number"]) for line in lines}
    loaded = {name: load() for name, load in tasks.items() if given.only in (None, name)}
    with given.results.open("a", encoding="utf-8") as file:
        for number in range(given.repetitions):
            for name, rows in loaded.items():
                with tempfile.TemporaryDirectory() as store:  # faults of training share what is prepared
                    for fault in (None, *([] if pretrained else FAULTS)):
                        if (name, fault, number) not in done:
                            found = trained(rows, fault, number, Path(store), pretrained)
                            if not given.facts:
                                del found["seen"]
                            lines.append({"task": name, "fault": fault, "number": number, **found})
                            print(json.dumps(lines[-1], ensure_ascii=False), file=file, flush=True)
    print(table(lines))


def table(lines: list[dict[str, Any]]) -> str:
    """Runs, those that were diagnosed, and all else that was said, by task and fault."""
    shown = ["| task | planted | runs | diagnosed | said besides |", "|---|---|---|---|---|"]
    for task in dict.fromkeys(line["task"] for line in lines):
        for fault in (None, *FAULTS):
            if not (own := [line for line in lines if (line["task"], line["fault"]) == (task, fault)]):
                continue
            said = Counter(finding["name"] for line in own for finding in line["findings"])
            wanted = FAULTS.get(fault or "")
            hits = str(said.pop(wanted, 0)) if wanted else "–"
            besides = ", ".join(f"{name} {count}" for name, count in said.most_common()) or "–"
            shown.append(f"| {task} | {fault or 'nothing'} | {len(own)} | {hits} | {besides} |")
    return "\n".join(shown)


if __name__ == "__main__":
    main()
