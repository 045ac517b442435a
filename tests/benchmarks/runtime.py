"""Predicting with a bundle: what a first prediction costs, and calls of its graph beside the model in torch.

    python -m tests.benchmarks.runtime [RUN] [--runs 11] [--seconds 20]

RUN is the folder of a run of a text classifier, with `model/` and `bundle/`; default: the quickstart's, made by
`make demo`. For every precision of the bundle: its `predict.py` from process start beside torch and transformers, CPU
time and peak memory of whole processes; then CPU time of single calls, one thread, in turn, at 1 × 32 and 32 × 64
(rows × tokens), torch as transformers loads the model, in fp32.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import arms
from tests.benchmarks.startup import TORCH

_RUN = arms.ROOT / "examples" / "quickstart" / "runs" / "quickstart"
_TEXT = "a fine film"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", default=_RUN)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    run: Path = options.run.absolute()
    arms.require(run / "bundle" / "predict.py", run / "model" / "config.json")
    first_predictions(run, options.runs)
    calls(run, options.seconds)


def first_predictions(run: Path, runs: int) -> None:
    """Whole processes, in turn."""
    with tempfile.TemporaryDirectory() as temporary:
        commands = {
            f"predict.py, {precision}": [sys.executable, first(run / "bundle", precision, Path(temporary)), _TEXT]
            for precision in described(run / "bundle")["precisions"]
        }
        commands["transformers + torch"] = [sys.executable, "-c", TORCH, run / "model"]
        measured: dict[str, list[arms.Usage]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():
                measured[name].append(arms.run(command))
    arms.table(
        ["first prediction", f"CPU s (median of {runs})", "peak MB (median)"],
        [
            [
                name,
                f"{statistics.median(one.cpu_s for one in found):.2f}",
                f"{statistics.median(one.peak_mb for one in found):.0f}",
            ]
            for name, found in measured.items()
        ],
    )


def first(bundle: Path, precision: str, folder: Path) -> Path:
    """The predict.py of a bundle whose first precision is the given one; its files are those of `bundle`."""
    other = folder / precision
    other.mkdir()
    for file in bundle.iterdir():
        if file.name not in ("bundle.json", "predict.py"):
            (other / file.name).symlink_to(file)
    (other / "bundle.json").write_text(json.dumps(described(bundle) | {"precisions": [precision]}), encoding="utf-8")
    (other / "predict.py").write_bytes((bundle / "predict.py").read_bytes())  # it looks for the bundle beside itself
    return other / "predict.py"


def described(bundle: Path) -> dict[str, Any]:
    """The content of bundle.json."""
    content: dict[str, Any] = json.loads((bundle / "bundle.json").read_text("utf-8"))
    return content


def calls(run: Path, seconds: float) -> None:
    """Single calls, in a process of their own, since torch is loaded there."""
    records = arms.apart(compared, run, seconds)
    arms.table(
        ["precision", "rows × tokens", "CPU ms", "torch CPU ms", "ratio (median of rounds)"],
        [
            [
                one["precision"],
                f"{one['rows']} × {one['tokens']}",
                f"{one['ms']:.1f}",
                f"{one['torch_ms']:.1f}",
                f"{one['ratio']:.2f}",
            ]
            for one in records
        ],
    )


def compared(run: Path, seconds: float) -> list[dict[str, Any]]:
    """Time the bundle's graphs beside the saved model."""
    import numpy as np
    import torch
    from transformers import AutoModelForSequenceClassification

    from hft_core import Graph
    from hft_plugins.onnx.speed import speeds

    arms.keep_quiet()
    model = AutoModelForSequenceClassification.from_pretrained(run / "model", dtype=torch.float32).eval()
    graph = described(run / "bundle")["graphs"]["model"]
    vocabulary, longest = model.config.vocab_size, model.config.max_position_embeddings
    draw = np.random.default_rng(0)
    example = {name: np.zeros((2, 64), np.int64) for name in graph["inputs"]}
    example["input_ids"] = draw.integers(0, vocabulary, (2, 64))

    def reference(**arrays: Any) -> Any:
        with torch.inference_mode():
            return model(**{name: torch.from_numpy(array) for name, array in arrays.items()}).logits.numpy()

    view = Graph("model", model, graph["inputs"], graph["outputs"], example, {"sequence": longest})
    files = {precision: run / "bundle" / name for precision, name in graph["files"].items()}
    return speeds(view, reference, files, seconds=seconds)


if __name__ == "__main__":
    main()
