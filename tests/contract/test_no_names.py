"""The engine decides nothing by the name of a task, a model or an objective: that is what their methods are for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hft_core
from hft_core.registry import load_registry

ENGINE = Path(hft_core.__file__).parent
KINDS = ("task", "model", "objective")


def names() -> set[str]:
    """Every type of these kinds that is installed, and the default name of a task."""
    registry = load_registry()
    return {name for kind in KINDS for name in registry.classes(kind)} | {"main"}


def decisions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts that a condition compares with, matches, looks up, or tests for a prefix; with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from _texts(node.left, *node.comparators)
        elif isinstance(node, ast.MatchValue):
            yield from _texts(node.value)
        elif isinstance(node, ast.Dict):  # a dispatch table
            yield from _texts(*(key for key in node.keys if key is not None))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("startswith", "endswith", "get", "index", "count", "fullmatch", "match", "search"):
                yield from _texts(*node.args)
        elif isinstance(node, ast.Subscript):
            yield from _texts(node.slice)


def _texts(*nodes: ast.AST) -> Iterator[tuple[int, str]]:
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                yield inner.lineno, inner.value


@pytest.mark.parametrize("file", sorted(ENGINE.rglob("*.py")), ids=lambda file: str(file.relative_to(ENGINE)))
def test_no_decision_by_name(file: Path) -> None:
    forbidden = names()
    found = [(line, text) for line, text in decisions(ast.parse(file.read_text("utf-8"))) if text in forbidden]
    assert not found, f"{file.name} decides by the name of a component: {found}"


def test_no_engine_module_checks_for_a_plugins_class() -> None:
    """Nor by isinstance: hft_core imports no plugin."""
    for file in ENGINE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in modules if name.split(".")[0] == "hft_plugins"], file


@pytest.mark.parametrize(
    "source",
    [
        'if task.type_name() == "text-classification": pass',
        'x = 1 if name in ("bert", "gpt") else 2',
        'match kind:\n    case "masked-lm": pass',
        'heads = {"masked-lm": 1}[name]',
        'if name.startswith("bert"): pass',
        'if objective.task != "main": pass',
    ],
)
def test_the_reader_of_sources_sees_such_decisions(source: str) -> None:
    assert {text for _, text in decisions(ast.parse(source))} & names()
