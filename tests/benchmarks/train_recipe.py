"""hft's arm: carry out a recipe, and print one JSON line.

usage: train_recipe.py RECIPE.json FOLDER [--meter VOCABULARY] [--pairs]

The line has `train_cpu_s` (user and system of the training alone, over all stages: no encoding, no evaluation),
`validation_cpu_s` (of its validations), `trained_mb` (largest resident memory up to the last step; what follows are the
test, baselines and the report), `steps`, `metrics` and `model` (the trained model's folder); with --meter also what meter.py
counts, with --pairs the label and the predicted label of each row of the test.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path
from typing import Any

from meter import Meter  # beside this script

import hft_core
from hft_core.pipeline.progress import Progress


class _Watching(Progress):
    """Looks at each step."""

    def __init__(self, meter: Meter | None):
        self._meter = meter
        self.peak_mb = 0.0

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        scale = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes on macOS, kilobytes on Linux
        self.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
        if self._meter:
            self._meter.mark(step, steps)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--meter", type=int)
    parser.add_argument("--pairs", action="store_true")
    options = parser.parse_args()
    meter = Meter(options.meter) if options.meter else None
    recipe = json.loads(options.recipe.read_text("utf-8"))
    watching = _Watching(meter)
    run = hft_core.run(recipe, out=options.folder / "run", progress=watching)
    nodes = json.loads((run.folder / "run.json").read_text("utf-8"))["nodes"]
    objects = options.folder / "store" / "objects"
    stages = [
        json.loads((objects / node["key"] / "stage.json").read_text("utf-8"))
        for name, node in nodes.items()
        if name.startswith("stage")
    ]
    line: dict[str, Any] = {
        "seed": recipe["seed"],
        "train_cpu_s": sum(stage["cpu_seconds"]["train"] for stage in stages),
        "validation_cpu_s": sum(stage["cpu_seconds"]["validation"] for stage in stages),
        "trained_mb": round(watching.peak_mb),
        "steps": sum(stage["steps"] for stage in stages),
        "metrics": run.metrics,
        "model": str(run.model),
    }
    if options.pairs:
        line["pairs"] = json.loads((objects / nodes["evaluate"]["key"] / "test.json").read_text("utf-8"))["pairs"]
    print(json.dumps(line | (meter.figures() if meter else {})))


main()
