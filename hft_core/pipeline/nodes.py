"""A node of the plan: one output, its key, and the work that makes it."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hft_core
from hft_core.components import Component
from hft_core.pipeline.steps.common import Process
from hft_core.registry import Registry
from hft_core.store.hashing import digest_json, digest_source

_ENGINE = Path(hft_core.__file__).parent

_STEP = (
    "pipeline/steps/common.py",
    "data/keys.py",
    "data/prepared.py",
    "data/table.py",
    "recipe/metrics.py",
    "recipe/sources.py",
    "runtime",
    "components",
)
_MEASURED = (
    "pipeline/steps/evidence.py",
    "data/survey.py",
    "evidence/evaluation.py",
    "evidence/intervals.py",
    "evidence/calibration.py",
    "evidence/ranking.py",
    "evidence/temperature.py",
    "evidence/thresholds.py",
    "training/inference.py",
)
_BASELINES = (*_MEASURED, "evidence/baselines.py", "evidence/tfidf.py")

# Engine modules and packages whose change makes a kind of node run again.
_RUNS = {
    "prepare": ((*_STEP, "pipeline/steps/prepare.py", "data"), ("python", "numpy", "pyarrow")),
    "augment": (
        (
            *_STEP,
            "pipeline/steps/augment.py",
            "evidence/judge.py",
            "evidence/baselines.py",
            "evidence/tfidf.py",
            "evidence/thresholds.py",
            "data",
        ),
        ("python", "numpy", "pyarrow"),
    ),
    "checks": (
        (
            *_STEP,
            "pipeline/steps/prepare.py",
            "data/checks.py",
            "data/split_checks.py",
            "data/likeness.py",
            "data/similarity.py",
        ),
        ("python", "numpy", "pyarrow"),
    ),
    "slices": ((*_STEP, "pipeline/steps/slices.py", "data"), ("python", "numpy", "pyarrow")),
    "preprocessor": ((*_STEP, "pipeline/steps/prepare.py"), ("tokenizers",)),
    "encode": (
        (*_STEP, "pipeline/steps/prepare.py", "training/encoding.py"),
        ("numpy", "tokenizers"),
    ),
    "stage": (
        (*_STEP, "pipeline/steps/stage.py", "pipeline/steps/augment.py", "data/augmentation.py", "training"),
        ("numpy", "torch", "transformers", "accelerate", "tokenizers"),
    ),
    "trial": (
        (
            *_STEP,
            "pipeline/steps/stage.py",
            "pipeline/steps/augment.py",
            "pipeline/steps/trial.py",
            "data/augmentation.py",
            "training",
        ),
        ("numpy", "torch", "transformers", "tokenizers"),
    ),
    "baselines": ((*_STEP, *_BASELINES), ("numpy", "torch", "transformers", "tokenizers", "scikit-learn")),
    "before": ((*_STEP, *_MEASURED), ("numpy", "torch", "transformers", "tokenizers", "scikit-learn")),
    "evaluate": ((*_STEP, *_MEASURED), ("numpy", "torch", "transformers", "tokenizers", "scikit-learn")),
    "diagnosis": (
        (
            *_STEP,
            "pipeline/steps/diagnosis.py",
            "evidence/label_noise.py",
            "evidence/baselines.py",
            "evidence/tfidf.py",
            "evidence/thresholds.py",
            "data/survey.py",
            "training/inference.py",
        ),
        ("numpy", "torch", "transformers", "tokenizers", "scikit-learn"),
    ),
    "gate": ((*_STEP, "pipeline/steps/gate.py", "evidence/comparison.py"), ("numpy", "scipy")),
    "export": (
        (
            *_STEP,
            "pipeline/steps/export.py",
            "evidence/evaluation.py",
            "evidence/intervals.py",
            "training/inference.py",
        ),
        ("numpy", "torch", "transformers", "tokenizers", "onnxruntime", "onnx", "onnxscript"),
    ),
}


@dataclass(frozen=True)
class Node:
    """One step of a plan."""

    name: str
    """For people: `prepare`, `stage adapt`, `export onnx`, …"""
    kind: str
    key: str
    parts: dict[str, Any]
    """What the key is made of; two keys are told apart by comparing these."""
    inputs: Sequence[Node]
    work: Callable[[Path, Mapping[str, Path], Process], None]
    """Fills an empty folder, given the folders of the inputs by node name, and the process that runs it."""
    details: dict[str, Any] = field(default_factory=dict)
    """What `hft plan` shows beside it."""

    @property
    def together(self) -> bool:
        """Whether all processes of a distributed run work on it."""
        return self.kind == "stage"


def make_node(
    registry: Registry,
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    components: Sequence[Component],
    inputs: Sequence[Node],
    work: Callable[[Path, Mapping[str, Path], Process], None],
    **details: Any,
) -> Node:
    """Make a node; `components` are those whose code it runs, `details` what a plan shows beside it."""
    modules, packages = _RUNS[kind]
    every = [inner for component in components for inner in component.nested()]
    own = sorted({package for component in every for package in component.packages})
    parts = {
        "kind": kind,
        "settings": dict(settings),
        "inputs": {role: node.key for role, node in by_role(inputs).items()},
        "code": {module: _source(_ENGINE / module) for module in modules}
        | {
            f"{plugin.name} ({plugin.distribution})": plugin.sha256 or _source(plugin.source)
            for plugin in {id(p): p for p in map(registry.plugin_of, map(type, every))}.values()
            if plugin.source
        },
        "versions": {package: _version(package) for package in dict.fromkeys((*packages, *own))},
    }
    return Node(name, kind, digest_json(parts), parts, tuple(inputs), work, details)


def with_inputs(nodes: Sequence[Node]) -> list[Node]:
    """Give nodes and all that they read, each output once, in an order that can be carried out."""
    found: dict[str, Node] = {}

    def add(node: Node) -> None:
        if node.key not in found:
            for item in node.inputs:
                add(item)
            found[node.key] = node

    for node in nodes:
        add(node)
    return list(found.values())


def by_role(inputs: Sequence[Node]) -> dict[str, Node]:
    """A node's inputs by kind and position, as they count in its key: renaming a stage changes nothing."""
    seen: Counter[str] = Counter()
    roles = {}
    for node in inputs:
        seen[node.kind] += 1
        roles[f"{node.kind} {seen[node.kind]}"] = node
    return roles


@cache
def _source(path: Path) -> str:
    return digest_source(path)


@cache
def _version(package: str) -> str:
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def difference(new: Node, old: Mapping[str, Any]) -> str:
    """Say in a few words what differs between a node and the parts of an earlier key."""
    found = list(_differences(new.parts, old, ()))
    titles = {f"inputs {role} changed": f"{node.name} changed" for role, node in by_role(new.inputs).items()}
    said = [titles.get(text, text) for text in found]
    return "; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else "")


def _differences(new: Any, old: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        for key in [*new, *(key for key in old if key not in new)]:
            yield from _differences(new.get(key), old.get(key), (*path, str(key)))
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        for index, (left, right) in enumerate(zip(new, old, strict=True)):
            yield from _differences(left, right, (*path, str(index)))
    elif new != old:
        where = ".".join(path[1:]) if len(path) > 1 else ".".join(path)
        if path[:1] == ("settings",) and not _long(new) and not _long(old):
            yield f"{where}: {old!r} → {new!r}"
        else:
            yield f"{path[0]} {where} changed"


def _long(value: Any) -> bool:
    return isinstance(value, (dict, list)) or (isinstance(value, str) and len(value) >= 32)
