"""Start-up: CPU time (user + system) and peak memory of whole commands, medians of 11.

    python -m tests.benchmarks.startup [BUNDLE] [--runs 11]

BUNDLE defaults to the quickstart's, made by `make demo`; without one `hft predict` is not measured. What a user waits
for is compared with what the same question costs through torch and transformers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from tests.benchmarks import arms

_EXAMPLE = arms.ROOT / "examples" / "quickstart"
_RECIPE = _EXAMPLE / "recipe.yaml"
_BUNDLE = _EXAMPLE / "runs" / "quickstart" / "bundle"
TORCH = """
import sys
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model, tokenizer = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]), AutoTokenizer.from_pretrained(sys.argv[1])
print(model(**tokenizer(["a fine film"], return_tensors="pt")).logits.argmax().item())
"""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=_BUNDLE)
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    bundle: Path = options.bundle
    hft = [str(Path(sys.executable).with_name("hft"))]
    commands = {
        "hft --help": [*hft, "--help"],
        "hft plugins": [*hft, "plugins"],
        "hft check (quickstart)": [*hft, "check", str(_RECIPE)],
    }
    if (bundle / "bundle.json").is_file():
        commands["hft predict, one text"] = [*hft, "predict", str(bundle), "a fine film"]
        commands["the same with transformers + torch"] = [sys.executable, "-c", TORCH, str(bundle.parent / "model")]
    else:
        print(f"hft predict is not measured: there is no bundle at {bundle}; run `make demo` first")
    # Interleaved: what else the machine does falls on all of them.
    measured: dict[str, list[arms.Usage]] = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            measured[name].append(arms.run(command))
    rows = [
        [
            name,
            f"{statistics.median(run.cpu_s for run in runs):.2f}",
            f"{statistics.median(run.peak_mb for run in runs):.0f}",
        ]
        for name, runs in measured.items()
    ]
    arms.table(["command", f"CPU s (median of {options.runs})", "peak MB (median)"], rows)


if __name__ == "__main__":
    main()
