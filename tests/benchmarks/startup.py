"""Start-up: CPU time (user + system) and peak memory of whole commands, medians of 11.

    python -m tests.benchmarks.startup [BUNDLE]

BUNDLE defaults to the quickstart's, made by `make demo`; without one `hft predict` is not measured. What a user waits
for is compared with what the same question costs through torch and transformers.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_RECIPE = _ROOT / "examples" / "quickstart" / "recipe.yaml"
_BUNDLE = _ROOT / "examples" / "quickstart" / "runs" / "quickstart" / "bundle"
_RUNS = 11
_TORCH = """
import sys
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model, tokenizer = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]), AutoTokenizer.from_pretrained(sys.argv[1])
print(model(**tokenizer(["a fine film"], return_tensors="pt")).logits.argmax().item())
"""


def main() -> None:
    """Measure and print the table."""
    hft = [str(Path(sys.executable).with_name("hft"))]
    bundle = Path(sys.argv[1]) if len(sys.argv) > 1 else _BUNDLE
    commands = {
        "hft --help": [*hft, "--help"],
        "hft plugins": [*hft, "plugins"],
        "hft check (quickstart)": [*hft, "check", str(_RECIPE)],
    }
    if (bundle / "bundle.json").is_file():
        commands["hft predict, one text"] = [*hft, "predict", str(bundle), "a fine film"]
        commands["the same with transformers + torch"] = [sys.executable, "-c", _TORCH, str(bundle.parent / "model")]
    else:
        print(f"hft predict is not measured: there is no bundle at {bundle}; run `make demo` first")
    # Interleaved: what else the machine does falls on all of them.
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(_RUNS):
        for name, command in commands.items():
            measured[name].append(_measure(command))
    print(f"\n| command | CPU s (median of {_RUNS}) | peak MB (median) |\n|---|---|---|")
    for name, runs in measured.items():
        cpu, memory = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {name} | {cpu:.2f} | {memory:.0f} |")


def _measure(command: list[str]) -> tuple[float, float]:
    """CPU seconds and peak resident megabytes of one run."""
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed: {process.stderr.read().decode() if process.stderr else ''}")
    if process.stderr:
        process.stderr.close()
    scale = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes on macOS, kilobytes on Linux
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale


if __name__ == "__main__":
    main()
