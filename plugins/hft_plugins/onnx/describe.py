"""What a bundle says about itself: bundle.json, and the distributions that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

import hft_core
from hft_core import Finished, Graph, PluginError
from hft_core.runtime.bundle import FORMAT, OWN_PACKAGES, modules_of

Files = Mapping[str, Mapping[str, str]]
"""Graph name to precision to path within the bundle."""


def description(
    run: Finished, graphs: Sequence[Graph], files: Files, precisions: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Give the content of bundle.json."""
    cleaners = [
        {"type": cleaner.type_name(), "module": cleaner.runtime, "settings": cleaner.settings()}
        for cleaner in run.cleaners
    ]
    preprocessor = {"module": run.preprocessor.module, "settings": run.preprocessor.settings()}
    modules = [run.task.runtime, *modules_of(preprocessor), *(cleaner.runtime for cleaner in run.cleaners)]
    return {
        "format": FORMAT,
        "name": run.name,
        "hft": hft_core.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": {
            "type": run.task.type_name(),
            "module": run.task.runtime,
            "settings": run.task.settings(),
            "facts": run.facts,
        },
        "text": list(run.task.roles().text),
        "inputs": list(run.task.roles().inputs),
        "cleaners": cleaners,
        "preprocessor": preprocessor,
        "precisions": list(precisions),
        "graphs": {
            graph.name: {
                "files": dict(files[graph.name]),
                "inputs": {name: list(axes) for name, axes in graph.inputs.items()},
                "outputs": {name: list(axes) for name, axes in graph.outputs.items()},
            }
            for graph in graphs
        },
        "bytes": {
            file.relative_to(folder).as_posix(): file.stat().st_size for file in sorted((folder / "onnx").iterdir())
        },
        "requires": requirements(modules),
    }


def requirements(modules: Sequence[str]) -> dict[str, str]:
    """Give distribution to version of what the named runtime modules need besides hft and its base packages.

    That is the plugin that a module comes from, and the distributions in the module's own ``REQUIRES``.
    Raises PluginError for a module of no installed plugin: a bundle could not find it on another machine.
    """
    needed: set[str] = set()
    for name in modules:
        package = name.partition(".")[0]
        if package not in OWN_PACKAGES:
            homes = {
                entry.dist.name for entry in entry_points(group="hft") if _offers(entry.module, package) and entry.dist
            }
            if not homes:
                raise PluginError(
                    f"onnx export: {name} runs at predict time, but belongs to no installed distribution with an entry "
                    "point in the group `hft`, so a bundle cannot name it; make a package of the plugin and install it"
                )
            needed |= homes
        needed |= set(getattr(import_module(name), "REQUIRES", ()))
    try:
        return {name: version(name) for name in sorted(needed)}
    except PackageNotFoundError as error:
        raise PluginError(f"onnx export: {error.name}, needed at predict time, is not installed") from error


def _offers(module: str, package: str) -> bool:
    return module.partition(".")[0] == package
