"""The last gate: the written bundle, in a new process that cannot import torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hft_plugins.onnx.gates import Gate

_PROGRAM = """
import json, sys
for name in ("torch", "transformers"):
    sys.modules[name] = None
from hft_core.runtime import load
from hft_core import HftError
folder, *precisions = sys.argv[1:]
try:
    print(json.dumps({precision: load(folder, precision).verify() for precision in precisions}))
except HftError as error:
    sys.exit(str(error))
"""


def fresh_gate(folder: Path, precisions: Sequence[str]) -> Gate:
    """Load the bundle in a fresh process with torch and transformers blocked, and answer the golden rows from text."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(folder), *precisions],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    name, bound = "fresh process without torch", "golden rows answered alike"
    if done.returncode:
        return Gate(name, bound, done.stderr.strip()[-1500:] or f"exit code {done.returncode}", False)
    reports = json.loads(done.stdout.splitlines()[-1])
    measured = ", ".join(
        f"{precision}: {one['rows']} rows, drift {one['drift']:.1e}" for precision, one in reports.items()
    )
    return Gate(name, bound, measured, True)
