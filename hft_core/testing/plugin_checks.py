"""Checks of a plugin as a whole: it is imported quickly and quietly, loads, and gets in nobody's way."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import lru_cache
from typing import Any

import hft_core
from hft_core.registry import Plugin, Registry
from hft_core.registry.registry import FILE

FORBIDDEN = (
    "torch", "transformers", "datasets", "pandas", "sklearn", "peft", "onnx", "pyarrow", "scipy", "accelerate",
    "tensorflow", "jax",
)  # fmt: skip
"""Packages that importing a plugin must not import: every command imports every plugin."""
SECONDS = 1.0
"""CPU seconds that importing a plugin may take, beside what hft itself has imported."""
PATIENCE = 60
"""Seconds after which an import is taken for one that hangs."""

_PROBE = """
import contextlib, io, json, sys, time
from hft_core.registry.importing import import_plugin
import hft_core.hookspecs
before = set(sys.modules)
said = io.StringIO()
start = time.process_time()
with contextlib.redirect_stdout(said):
    import_plugin(*json.loads(sys.argv[1]))
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "said": said.getvalue(), "modules": sorted(set(sys.modules) - before)}))
"""


def is_loaded(plugin: Plugin, registry: Registry) -> None:
    """It loads: only known hooks, each giving a list of complete classes of its kind, each class once."""
    assert not plugin.problem, plugin.problem
    assert plugin.components, "it offers nothing: a hook of hft_core.hookspecs has to return a list of classes"


def leaves_heavy_packages_out(plugin: Plugin, registry: Registry) -> None:
    """Importing it imports none of torch, transformers, datasets, pandas, sklearn, peft, onnx, pyarrow, …"""
    found = sorted({name.partition(".")[0] for name in _imported(plugin)["modules"]} & set(FORBIDDEN))
    assert not found, f"importing it imports {', '.join(found)}; import that inside the methods that need it"


def is_imported_quickly(plugin: Plugin, registry: Registry) -> None:
    """Importing it takes less than a second of CPU time."""
    seconds = _imported(plugin)["seconds"]
    assert seconds < SECONDS, f"importing it takes {seconds:.1f} s of CPU time; import heavy packages inside methods"


def is_imported_quietly(plugin: Plugin, registry: Registry) -> None:
    """Importing it prints nothing: standard output belongs to the answers of commands."""
    said = _imported(plugin)["said"]
    assert not said, f"importing it prints {said[:80]!r}; use the module logging"


def clashes_with_no_other(plugin: Plugin, registry: Registry) -> None:
    """No other installed plugin offers one of its types."""
    for component in plugin.components:
        usable = registry.classes(component.kind).get(component.type_name())
        assert usable is component, registry.explain_missing(component.kind, component.type_name())


def uses_public_names(plugin: Plugin, registry: Registry) -> None:
    """Of hft_core it imports names of `hft_core.__all__`, hft_core.runtime and hft_core.testing, and nothing else."""
    if plugin.source is None:
        return
    for file in sorted(plugin.source.rglob("*.py")) if plugin.source.is_dir() else [plugin.source]:
        for line, name in _private(ast.parse(file.read_text("utf-8"))):
            raise AssertionError(f"{file.name}, line {line}: {name} is not public; what is stands in hft_core.__all__")


def _private(tree: ast.AST) -> list[tuple[int, str]]:
    public = {*hft_core.__all__, "runtime", "testing", "__version__"}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names if not _is_public(alias.name)]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "hft_core":
                found += [(node.lineno, f"hft_core.{a.name}") for a in node.names if a.name not in public]
            elif not _is_public(node.module):
                found.append((node.lineno, node.module))
    return found


def _is_public(module: str) -> bool:
    parts = module.split(".")
    return parts[0] != "hft_core" or len(parts) == 1 or parts[1] in ("runtime", "testing")


def _imported(plugin: Plugin) -> dict[str, Any]:
    """What importing it does in a fresh process."""
    return _probed(plugin.module or "", str(plugin.source) if plugin.distribution == FILE else None, tuple(sys.path))


@lru_cache(maxsize=64)
def _probed(module: str, file: str | None, path: tuple[str, ...]) -> dict[str, Any]:
    program = f"import sys; sys.path[:] = {[entry for entry in path if entry]!r}\n{_PROBE}"
    command = [sys.executable, "-c", program, json.dumps([module, file])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"importing it does not end within {PATIENCE} s") from None
    assert done.returncode == 0, f"importing it fails in a fresh process: {done.stderr.strip().splitlines()[-1:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


CHECKS = (
    is_loaded,
    leaves_heavy_packages_out,
    is_imported_quickly,
    is_imported_quietly,
    clashes_with_no_other,
    uses_public_names,
)
