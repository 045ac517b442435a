"""Whether a component does the same in another process, where sets of texts have another order."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from hft_core.registry.registry import FILE
from hft_core.testing.subject import Subject, digest

_PATIENCE = 600
_PROGRAM = "from hft_core.testing.elsewhere import answer; answer()"


def is_the_same_in_another_process(subject: Subject) -> None:
    """A fresh process gives the same, whatever order sets have there: workers, a resumed run, another machine."""
    asked = {
        "path": [entry for entry in sys.path if entry],
        "files": [str(subject.plugin.source)] if subject.plugin.distribution == FILE else [],
        "kind": subject.cls.kind,
        "type": subject.cls.type_name(),
        "sample": base64.b64encode(
            pickle.dumps(replace(subject.sample, reload=None, prepare=None, inputs=None))
        ).decode(),
        "folder": str(subject.folder),
    }
    outcome = import_module(f"hft_core.testing.{subject.cls.kind}").outcome
    here = digest(outcome(subject))
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], input=json.dumps(asked), capture_output=True, text=True, encoding="utf-8",
            timeout=_PATIENCE, check=False, env={**os.environ, "PYTHONHASHSEED": "4711"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise AssertionError(f"another process is not done with it after {_PATIENCE} s") from None
    assert done.returncode == 0, f"it fails in another process: {done.stderr.strip().splitlines()[-1:]}"
    assert done.stdout.splitlines()[-1] == here, "another process gives something else; sort what comes from sets"


def answer() -> None:
    """Be the other process: read what to check from standard input, and print a hash of what comes out."""
    from hft_core.registry import load_registry

    asked = json.load(sys.stdin)
    sys.path[:] = asked["path"]
    registry = load_registry(asked["files"], strict=False)
    cls = registry.classes(asked["kind"])[asked["type"]]
    sample = pickle.loads(base64.b64decode(asked["sample"]))  # by our own parent process
    outcome = import_module(f"hft_core.testing.{asked['kind']}").outcome
    print(digest(outcome(Subject(registry.plugin_of(cls), cls, sample, registry, Path(asked["folder"])))))
