"""Modules that are no tests, and lie where imports do not look."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def module_at(file: Path) -> Any:
    """Execute a Python file as a module of its own, anew each time."""
    spec = importlib.util.spec_from_file_location(f"_at_{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
