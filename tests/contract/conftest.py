"""Third-party distributions, installed as a user would install them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DISTRIBUTIONS = Path(__file__).parent / "distributions"


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give ``distribution(name) -> folder``: where pip has installed that distribution.

    It is on this process's path from then on, to the end of the session, so its entry points are found; processes
    get it through PYTHONPATH (see `python_path`).
    """
    installed: dict[str, Path] = {}

    def install(name: str) -> Path:
        if name not in installed:
            source = tmp_path_factory.mktemp("source") / name
            shutil.copytree(DISTRIBUTIONS / name, source, ignore=shutil.ignore_patterns("__pycache__"))
            target = tmp_path_factory.mktemp("site")
            offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
            command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
            assert done.returncode == 0, done.stderr
            sys.path.append(str(target))
            installed[name] = target
        return installed[name]

    return install


@pytest.fixture(scope="session")
def python_path(distribution: Callable[[str], Path]) -> Callable[..., str]:
    """Give ``python_path(*names)``: PYTHONPATH for processes that need these distributions."""

    def joined(*names: str) -> str:
        return os.pathsep.join(str(distribution(name)) for name in names)

    return joined
