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
from hft_core.runtime.description import FORMAT
from hft_core.runtime.trust import OWN_PACKAGES, modules_of

Files = Mapping[str, Mapping[str, str]]
"""Graph name to precision to path within the bundle."""


def description(
    tasks: Mapping[str, Finished],
    graphs: Sequence[Graph],
    files: Files,
    precisions: Sequence[str],
    folder: Path,
    in_tokenizer: bool = False,
) -> dict[str, Any]:
    """Give the content of bundle.json.

    Args:
        tasks: by name; of one task the name is empty. The first one's columns are those that the bundle reads.
        in_tokenizer: readers of tokenizer.json need not run the cleaners.
    """
    run = next(iter(tasks.values()))
    cleaners = [
        {
            "type": cleaner.type_name(),
            "module": cleaner.runtime,
            "settings": cleaner.settings(),
            "in_tokenizer": in_tokenizer,
        }
        for cleaner in run.cleaners
    ]
    preprocessor = {"module": run.preprocessor.module, "settings": run.preprocessor.settings()}
    modules = [one.task.runtime for one in tasks.values()]
    modules += [*modules_of(preprocessor), *(cleaner.runtime for cleaner in run.cleaners)]
    roles = run.task.roles()
    return {
        "format": FORMAT,
        "name": run.name,
        "hft": hft_core.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **(
            {"task": _task(run)}
            if len(tasks) == 1
            else {"tasks": {name: _task(one) | {"reads": reads(one)} for name, one in tasks.items()}}
        ),
        "text": [name for name in roles.text if name not in roles.optional],
        "inputs": list(roles.inputs),
        **({"optional": list(roles.optional)} if roles.optional and len(tasks) == 1 else {}),
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
        "plugins": run.card.get("plugins", []),
    }


def _task(run: Finished) -> dict[str, Any]:
    return {
        "type": run.task.type_name(),
        "module": run.task.runtime,
        "settings": run.task.settings(),
        "entry": run.task.model_dump(mode="json", by_alias=True, exclude={"name", "when"}),
        "facts": run.facts,
    }


def reads(run: Finished) -> list[str]:
    """The columns that a prediction takes: texts, then other inputs."""
    roles = run.task.roles()
    return [*(name for name in roles.text if name not in roles.optional), *roles.inputs]


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
