"""What a bundle says about itself, and whether its files are those that it describes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from hft_core.errors import DamagedError, PluginError, RecipeError
from hft_core.runtime.session import OnnxCall

FORMAT = 2
"""Of bundles that are written: 2 since facts may have a `temperature`, which a reader of 1 would not apply."""
_READS = (1, 2)
DESCRIPTION = "bundle.json"
GOLDEN = "golden.jsonl"
PARITY = "parity.json"
PROVEN = "CPUExecutionProvider"
"""The execution provider under which an export is compared with its model, where parity.json names no other."""
_KEYS = ("name", "text", "cleaners", "preprocessor", "precisions", "graphs", "bytes", "requires")


def find(path: str | PathLike[str]) -> Path:
    """Give the bundle's folder for it or for a run's folder. Raises RecipeError where there is none, or a choice."""
    folder = Path(path)
    if not folder.exists():
        raise RecipeError(f"there is no folder {folder}; name a bundle, or a run that has one")
    for candidate in (folder, folder / "bundle"):
        if (candidate / DESCRIPTION).is_file():
            return candidate
    if found := sorted(file.parent.name for file in folder.glob(f"*/{DESCRIPTION}")):
        raise RecipeError(
            f"{folder} is no bundle, but has bundles in it: {', '.join(found)}; name one, such as {folder / found[0]}"
        )
    raise RecipeError(f"{folder} is no bundle, and no run with one: {DESCRIPTION} is neither in it nor in its bundle/")


def read(folder: Path) -> dict[str, Any]:
    """Read bundle.json. Raises DamagedError where it is none, PluginError for a format of another version."""
    file = folder / DESCRIPTION
    try:
        description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        version = description["format"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedError(f"{file} is not a bundle's description: {error}") from None
    if version not in _READS:
        known = " and ".join(map(str, _READS))
        raise PluginError(f"{file} has format {version}, this hft-core reads {known}; install the bundle's version")
    lacking = [] if {"task", "tasks"} & description.keys() else ["task"]
    lacking += [key for key in _KEYS if key not in description]
    if lacking:
        raise DamagedError(f"{file} does not say {lacking[0]!r}; copy or export the bundle again")
    return description


def proven_under(folder: Path, files: Iterable[str]) -> str:
    """The execution provider of the parity report, if that is among the bundle's `files`."""
    if PARITY not in files:
        return PROVEN
    try:
        report = json.loads((folder / PARITY).read_text(encoding="utf-8"))
        return str(report.get("provider", PROVEN))
    except (OSError, ValueError, AttributeError) as error:
        raise DamagedError(f"{folder / PARITY} is no parity report: {error}") from None


def check_sizes(folder: Path, names: Iterable[str], sizes: Mapping[str, int]) -> None:
    """A cut-off graph must not reach onnxruntime, which maps it; its checksum is left to `verify`."""
    for name in {*names, *sizes}:
        file = folder / name
        found = file.stat().st_size if file.is_file() else None
        if found is None or found != sizes.get(name):
            state = "is missing" if found is None else f"has {found} bytes instead of {sizes.get(name)}"
            raise DamagedError(f"{file} {state}; copy or export the bundle again")


def check_signatures(folder: Path, graphs: Mapping[str, Any], call: OnnxCall) -> None:
    """Inputs and outputs of the files must be those that the description tells of: other ones would be read wrongly."""
    for name, graph in graphs.items():
        for kind, found in zip(("inputs", "outputs"), call.axes(name), strict=True):
            if (described := graph[kind]).keys() != found.keys() or any(
                not _fits(axes, found[value]) for value, axes in described.items()
            ):
                raise DamagedError(
                    f"{folder}: the graph {name!r} has the {kind} {found}, {DESCRIPTION} describes {described}; "
                    "copy or export the bundle again"
                )


def check_labels(folder: Path, graphs: Mapping[str, Any], labels: Sequence[str], output: str) -> None:
    """A task's labels must be as many as the numbers of the `output` that tells of them, where graphs have it."""
    for name, graph in graphs.items():
        width = graph["outputs"].get(output, [None])[-1]
        if labels and isinstance(width, int) and width != len(labels):
            raise DamagedError(
                f"{folder / DESCRIPTION} has {len(labels)} labels ({', '.join(labels[:5])}, …), but "
                f"the graph {name!r} gives {width} {output}; copy or export the bundle again"
            )


def golden(folder: Path, precision: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the golden rows, each with its prediction at this precision."""
    lines = (folder / GOLDEN).read_text(encoding="utf-8").split("\n")
    for record in (json.loads(line) for line in lines if line):
        yield record["row"], record["predictions"][precision]


def _fits(described: Sequence[str | int], found: Sequence[Any]) -> bool:
    """Whether a graph's axes are as described: as many, and the same where both are numbers."""
    return len(described) == len(found) and all(
        one == two for one, two in zip(described, found, strict=True) if isinstance(one, int) and isinstance(two, int)
    )
