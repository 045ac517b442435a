"""Distributions that a test writes and installs in an instant: a folder on the path, with the metadata that pip would leave."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest


def write_metadata(folder: Path, project: Mapping[str, object]) -> None:
    """Write a `.dist-info` for what a pyproject.toml's `project` says."""
    name, version = str(project["name"]), str(project["version"])
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    requires = "".join(f"Requires-Dist: {text}\n" for text in project.get("dependencies", ()))  # type: ignore[attr-defined]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}", "utf-8")
    groups: Mapping[str, Mapping[str, str]] = project.get("entry-points", {})  # type: ignore[assignment]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Give ``installed(folder)``: from then on the distribution in the folder is found, here and in other processes."""

    def install(folder: Path) -> Path:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        write_metadata(folder, project)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        return folder

    return install
