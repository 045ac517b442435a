"""What each part may import: commands stay light, the runtime lighter, and plugins use public names only."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import hft_core

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "pandas",
    "sklearn",
    "peft",
    "onnx",
    "pyarrow",
    "scipy",
    "accelerate",
    "optuna",
)
NOT_FOR_THE_RUNTIME = ("pydantic", "pydantic_core", "rich", "click", "pluggy", "ruamel", "filelock", *HEAVY)


@pytest.fixture
def without(surroundings: Mapping[str, str], tmp_path: Path) -> Callable[..., str]:
    """Run a program in a process where importing certain packages is an error; gives its output."""

    def run(blocked: tuple[str, ...], program: str) -> str:
        preamble = f"""
            import sys
            class Blocker:
                def find_spec(self, name, path=None, target=None):
                    if name.partition(".")[0] in {blocked!r}:
                        raise AssertionError(f"{{name}} must not be imported here")
            sys.meta_path.insert(0, Blocker())
        """
        text = textwrap.dedent(preamble) + textwrap.dedent(program)
        process = subprocess.run(
            [sys.executable, "-c", text], env=surroundings, cwd=tmp_path, text=True, capture_output=True, check=False
        )
        assert process.returncode == 0, process.stderr[-2000:]
        return process.stdout

    return run


def command(*arguments: object) -> str:
    """A program that runs `hft` and lets its success through."""
    return f"""
        import sys
        sys.argv = ["hft", *{[str(argument) for argument in arguments]!r}]
        from hft_core.cli.main import main
        main()
    """


def test_importing_hft_core_imports_next_to_nothing(without: Callable[..., str]) -> None:
    without((*NOT_FOR_THE_RUNTIME, "numpy", "tokenizers", "onnxruntime"), "import hft_core, hft_core.runtime")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",), ("--version",), ("plugins",), ("plugins", "--json"), ("schema",), ("check", "RECIPE"), ("gc", "."),
        ("plugins", "show", "adamw"), ("doctor",), ("doctor", "--json"), ("lock", "RECIPE"),
        ("new", "plugin", "mine", "--kind", "model"),
        ("new", "recipe", "--data", "x.csv", "--task", "text-generation", "--model", "tiny"),
        *((name, "--help") for name in ("run", "check", "inspect", "plan", "export", "predict", "search", "evaluate")),
        *((name, "--help") for name in ("verify", "plugins", "schema", "gc", "new", "lock", "doctor", "report", "compare")),
    ],
    ids=" ".join,
)  # fmt: skip
def test_light_commands(arguments: tuple[str, ...], without: Callable[..., str], tiny: Any) -> None:
    tiny.recipe["export"] = [{"type": "onnx"}]
    tiny.recipe["prepare"] = {"augment": [{"type": "synonyms"}]}
    recipe = tiny.write()
    without(HEAVY, command(*(recipe if argument == "RECIPE" else argument for argument in arguments)))


@pytest.mark.parametrize("help_of", ["", "predict"])
def test_help_needs_no_pydantic(help_of: str, without: Callable[..., str]) -> None:
    blocked = ("pydantic", "ruamel", "pluggy", "numpy", "tokenizers", "onnxruntime", *HEAVY)
    assert "Usage" in without(blocked, command(*filter(None, [help_of]), "--help"))


def test_predict_is_light(without: Callable[..., str], exported: Path) -> None:
    blocked = (*HEAVY, "pydantic", "pydantic_core", "ruamel", "pluggy", "rich", "filelock")
    out = without(blocked, command("predict", exported, "a <b>good</b> film", "很好"))
    assert [sorted(json.loads(line)) for line in out.splitlines()] == [["label", "review", "score", "scores"]] * 2
    without(blocked, command("verify", exported))


def test_the_runtime_needs_neither_pydantic_nor_a_command_line(without: Callable[..., str], exported: Path) -> None:
    program = f"""
        from hft_core.runtime import load
        bundle = load({str(exported)!r})
        print(bundle.predict(["a <b>good</b> film"])[0]["label"], bundle.verify()["rows"] > 0)
    """
    assert without(NOT_FOR_THE_RUNTIME, program).split()[1] == "True"


def test_every_module_for_predict_time_is_light(without: Callable[..., str]) -> None:
    """Those that components name in `runtime`, and preprocessors in `module`."""
    modules = [
        path_to_module(file) for file in python_files() if file.stem.endswith("runtime") or "runtime" in file.parts
    ]
    assert "hft_plugins.text_classification.runtime" in modules
    assert "hft_plugins.cleaners.html_runtime" in modules
    assert "hft_core.runtime.bundle" in modules
    without(NOT_FOR_THE_RUNTIME, "\n".join(f"import {module}" for module in modules))


# ---- by reading the source ----


def python_files() -> list[Path]:
    return [
        file
        for top in (
            "hft_core",
            "plugins/hft_plugins",
            *(str(p.relative_to(ROOT)) for p in ROOT.glob("contrib/*/hft_*")),
        )
        for file in sorted((ROOT / top).rglob("*.py"))
        if "lexicon" not in file.parts  # scripts that build data
    ]


def path_to_module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    start = next(index for index, part in enumerate(parts) if part.startswith("hft_"))
    return ".".join(parts[start:]).removesuffix(".__init__")


def imports(file: Path, functions: bool) -> Iterator[tuple[str, list[str], int]]:
    """Module, names taken from it, and line of each import; with `functions` also of those inside functions."""

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not functions:
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            yield child
            yield from walk(child)

    for node in walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, [], node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield str(node.module), [alias.name for alias in node.names], node.lineno


@pytest.mark.parametrize("functions", [False, True], ids=["at import", "ever"])
def test_hft_core_never_imports_a_plugin(functions: bool) -> None:
    found = [
        f"{file}:{line}"
        for file in python_files()
        if path_to_module(file).startswith("hft_core")
        for module, _, line in imports(file, functions)
        if module.partition(".")[0] not in ("hft_core",) and module.startswith("hft_")
    ]
    assert found == []


def test_plugins_import_only_public_names_of_hft_core() -> None:
    """`hft_core.X` for X in its `__all__`, and the modules of hft_core.runtime."""
    found = []
    for file in python_files():
        if path_to_module(file).startswith("hft_core"):
            continue
        for module, names, line in imports(file, functions=True):
            if module.partition(".")[0] != "hft_core" or module.startswith(("hft_core.runtime", "hft_core.testing")):
                continue
            if module != "hft_core" or not set(names) <= {*hft_core.__all__, "runtime", "__version__"}:
                found.append(f"{file.relative_to(ROOT)}:{line} imports {module} {names}")
    assert found == []


def test_plugins_do_not_import_each_other_by_another_name() -> None:
    """`import plugins.…` would be a second copy of every class."""
    for file in python_files():
        assert not [module for module, _, _ in imports(file, True) if module.split(".")[0] == "plugins"], file


def test_all_public_names_are_there() -> None:
    for name in hft_core.__all__:
        assert getattr(hft_core, name) is not None
    assert set(hft_core.__all__) <= set(dir(hft_core))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hft_core.nothing  # noqa: B018
    assert hft_core.__version__.count(".") == 2


def test_the_base_packages_are_all_that_is_imported_at_import() -> None:
    """Of the modules that discovery, check, schema and predict import; training's import torch at their top."""
    base = {
        "pluggy", "pydantic", "pydantic_core", "ruamel", "rich", "click", "filelock", "numpy", "tokenizers", "onnxruntime",
        "packaging",
        "hft_core", "hft_plugins", *sys.stdlib_module_names,
    }  # fmt: skip
    light = ("cli", "components", "recipe", "registry", "runtime", "store", "data", "report")
    found = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in python_files()
        if path_to_module(file).startswith(tuple(f"hft_core.{part}" for part in light)) and file.name != "net.py"
        for module, _, line in imports(file, functions=False)
        if module.partition(".")[0] not in base
    ]
    assert found == []
