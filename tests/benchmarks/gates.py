"""How often gates keep what they should not, and what they should: repetitions of a planted task, one JSON line each.

    python -m tests.benchmarks.gates --repetitions 100 --out tests/benchmarks/results/gates.jsonl

What stands in --out already is not done again.

Each repetition draws texts anew and settles three gates by real training, a bag of n-grams that takes well under 2 seconds: a
part that harms (a filter that drops clean rows only), one that helps (a filter that drops rows with wrong labels), and one that
is other luck and nothing else (`null`: a technique that draws the first weights anew).
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.arms import table

BAG = Path(__file__).parents[1] / "contract" / "distributions" / "hft-bag"
FILTER = '''
from typing import Literal

from hft_core import RowFilter, Technique, hookimpl
from hft_core.runtime.randomness import generator


class Drops(RowFilter):
    """Drops a share of the rows, of those that are marked as wrong or as clean."""

    type: Literal["drops"]
    which: Literal["wrong", "clean"]
    share: float
    draw: int = 0

    def reasons(self, batches, roles):
        random = generator("drops", self.which, self.draw)
        for columns in batches:
            found = []
            for text in columns[roles.text[0]]:
                wrong = text.endswith("~")
                meant = wrong == (self.which == "wrong")
                found.append("drawn" if random.random() < self.share and meant else None)
            yield found


class Redraw(Technique):
    """Draws the table of n-grams anew, from what it was drawn from: other luck, and no better."""

    type: Literal["redraw"]
    draw: int = 0

    def prepare(self, net, context):
        import torch

        numbers = generator("redraw", self.draw, float(net.table.weight.detach().sum())).standard_normal(net.table.weight.shape)
        with torch.no_grad():
            net.table.weight[1:] = torch.from_numpy(numbers[1:]).float()


@hookimpl
def register_cleaners():
    return [Drops]


@hookimpl
def register_techniques():
    return [Redraw]
'''
FILES = {"train": "train.csv", "validation": "dev.csv"}
PARTS = ("harmful", "helpful", "null")


def rows(draw: random.Random, count: int, wrong: float) -> list[tuple[str, str]]:
    """Texts of ten letters with a label each; those of class a have more vowels. A wrong label leaves a mark."""
    made = []
    for _ in range(count):
        label = draw.choice("ab")
        letters = "aeiouaeioubcdfgh" if label == "a" else "aeioubcdfghbcdfgh"
        text = "".join(draw.choice(letters) for _ in range(draw.randint(14, 30)))
        flipped = draw.random() < wrong
        given = ("b" if label == "a" else "a") if flipped else label
        made.append((text + (" ~" if flipped else ""), given))
    return made


def write(file: Path, content: list[tuple[str, str]]) -> None:
    """Write a CSV file."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *content])


def recipe(folder: Path, number: int, seeds: int, wrong: float) -> dict[str, Any]:
    """Write the rows of one repetition; gives its recipe."""
    draw = random.Random(number)
    write(folder / FILES["train"], rows(draw, 400, wrong))
    write(folder / FILES["validation"], rows(draw, 600, 0))
    drops: list[dict[str, Any]] = [
        {"name": "harmful", "which": "clean", "share": 0.3},
        {"name": "helpful", "which": "wrong", "share": 1.0},
    ]
    return {
        "name": "planted",
        "data": {name: {"type": "csv", "path": str(folder / file)} for name, file in FILES.items()},
        "task": {"type": "text-classification", "text": "text", "label": "label"},
        "model": {"type": "bag", "buckets": 256, "width": 8},
        "prepare": {"clean": [{"type": "drops", "draw": number, "when": "helps", **drop} for drop in drops]},
        "stages": [
            {
                "stage": "finetune",
                "objectives": [{"type": "task", "data": "train"}],
                "epochs": 3,
                "optimizer": {"type": "adam", "lr": 0.03},
                "techniques": [{"type": "redraw", "draw": number, "when": "helps"}],
            }
        ],
        "evaluate": {"metrics": [{"type": "accuracy"}], "seeds": seeds},
        "precision": "fp32",
    }  # fmt: skip


def repetition(number: int, seeds: int, wrong: float) -> dict[str, Any]:
    """Settle the gates of one repetition; gives their verdicts."""
    from hft_core.pipeline.gates import as_written
    from hft_core.pipeline.gates_run import Carrier, carry_out_gates
    from hft_core.pipeline.plan import build_plan
    from hft_core.pipeline.progress import Progress
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry
    from hft_core.store.store import Store
    from hft_core.training.stopping import StopRequest

    if str(BAG) not in sys.path:
        sys.path.insert(0, str(BAG))
    began = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "drops.py").write_text(FILTER, encoding="utf-8")
        registry = load_registry([BAG / "hft_bag" / "plugin.py", folder / "drops.py"])
        loaded = load_recipe(recipe(folder, number, seeds, wrong), registry, folder=folder)
        whole = build_plan(as_written(loaded, registry), registry)
        with Carrier(Store(folder / "store"), Progress(), StopRequest(), wait=True) as carrier:
            settled = carry_out_gates(loaded, registry, whole, carrier)
    runs = seeds * (len(PARTS) + 1)
    found: dict[str, Any] = {
        "repetition": number,
        "seeds": seeds,
        "cpu_per_run": round((time.process_time() - began) / runs, 3),
    }
    for part, decision in zip(PARTS, settled.decisions, strict=True):
        verdict = decision.verdict or {}
        found[part] = {key: verdict[key] for key in ("verdict", "difference", "standard_error", "p")} | {
            "kept": decision.kept
        }
    return found


def main() -> None:
    """Carry out the repetitions that are not there yet, and sum all of them up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("gates.jsonl"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--wrong", type=float, default=0.45)
    given = parser.parse_args()
    there = given.out.read_text("utf-8").splitlines() if given.out.is_file() else []
    lines = [json.loads(line) for line in there]
    for number in sorted({*range(given.repetitions)} - {line["repetition"] for line in lines}):
        lines.append(repetition(number, given.seeds, given.wrong))
        with given.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(lines[-1]) + "\n")
    rows = []
    for part in PARTS:
        own = [line[part] for line in lines]
        clear = [one for one in own if one["difference"] >= 4 * one["standard_error"]]
        mean = sum(one["difference"] for one in own) / len(own)
        kept = [f"{sum(one['kept'] for one in some)} of {len(some)}" for some in (own, clear)]
        rows.append([part, f"{mean:+.3f}", *kept])
    table(["part", "difference (mean)", "kept", "kept of those at 4 standard errors or more"], rows)


if __name__ == "__main__":
    main()
