"""Distributions in contrib/ are whole, and lean on hft one way: on public names, and never hft on them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from .loading import module_at

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(file.parent for file in (ROOT / "contrib").glob("hft-*/pyproject.toml"))
EACH = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)

READ = (".py", ".tmpl", ".toml", ".md")


def test_nothing_in_hft_knows_them() -> None:
    """Neither hft_core nor a built-in plugin imports one of them, or names it."""
    names = {name for folder in FOLDERS for name in (folder.name, folder.name.replace("-", "_"))}
    assert "hft_explain" in names
    files = [file for top in ("hft_core", "plugins") for file in sorted((ROOT / top).rglob("*")) if file.suffix in READ]
    found = [
        f"{file.relative_to(ROOT)} names {name}"
        for file in files
        for text in [file.read_text("utf-8")]
        for name in names
        if re.search(rf"\b{name}\b", text)
    ]
    assert found == []


@EACH
def test_they_use_public_names_in_tests_too(folder: Path) -> None:
    """Of what is installed `test_imports` holds it, and the contract."""
    import hft_core

    public = {*hft_core.__all__, "runtime", "testing", "__version__"}
    for file in sorted((folder / "tests").rglob("*.py")):
        for module, names, line in _imports(file):
            top, _, rest = module.partition(".")
            assert top != "tests", f"{file}:{line}: hft's own tests are not there where it is installed"
            assert top != "hft_plugins", f"{file}:{line} imports {module}"
            if top == "hft_core":
                inner = rest.partition(".")[0]
                assert inner in ("", "runtime", "testing"), f"{file}:{line} imports {module}"
                assert rest or set(names) <= public, f"{file}:{line} imports {names}"


def _imports(file: Path) -> Iterator[tuple[str, list[str], int]]:
    """Module, names taken from it, and line of each import that does not stay in the folder."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, [], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module), [alias.name for alias in node.names], node.lineno


@EACH
def test_they_are_whole(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == folder.name
    assert project["license"]
    assert any(re.match(r"hft-core\b.*>=", needed) for needed in project["dependencies"]), "hft-core, by version"
    assert project["entry-points"]["hft"]
    assert (folder / project["readme"]).read_text("utf-8").startswith("# ")
    assert f"({folder.name}/README.md)" in (ROOT / "contrib" / "README.md").read_text("utf-8")
    assert list((folder / "example").glob("*.yaml")), "an example recipe"
    tests = "".join(file.read_text("utf-8") for file in (folder / "tests").glob("test_*.py"))
    assert "contract_tests(" in tests, "the contract, in one line"


@EACH
def test_they_are_tested_with_everything_else(folder: Path) -> None:
    if find_spec(folder.name.replace("-", "_")) is None:
        pytest.skip(f"{folder.name} is not installed; `make` does so")
    pages = module_at(ROOT / "tests" / "docs" / "pages.py")
    assert folder / "README.md" in pages.pages()
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    assert "contrib" in options["pytest"]["ini_options"]["testpaths"]
    assert "contrib/hft-*/hft_*" in options["mypy"]["files"]


@pytest.mark.slow
@EACH
def test_wheel_has_the_package_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", str(tmp_path), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    package = folder.name.replace("-", "_")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in names} == {package}
    assert f"{package}/__init__.py" in names
