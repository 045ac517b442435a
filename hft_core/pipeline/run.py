"""A run: a recipe carried out, and the folder with what came of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hft_core.errors import DamagedError, DiskError, RecipeError
from hft_core.pipeline.execute import execute
from hft_core.pipeline.plan import Plan, build_plan
from hft_core.pipeline.progress import Progress
from hft_core.pipeline.report import write_report
from hft_core.recipe.load import LoadedRecipe, load_recipe
from hft_core.registry import Registry, load_registry
from hft_core.store.gc import register
from hft_core.store.store import Store, link_tree


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """Open a run folder. Raises RecipeError where it is none."""
        folder = Path(folder)
        if not (folder / "run.json").is_file():
            raise RecipeError(f"{folder} is no run folder (it has no run.json)")
        return cls(folder)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Figures by split, such as ``metrics["test"]["accuracy"]``; with several seeds the means."""
        report = json.loads((self.folder / "report.json").read_text("utf-8"))
        return {
            split: {name: figure["value"] for name, figure in figures.items()}
            for split, figures in report["metrics"].items()
        }

    @property
    def bundle(self) -> Path:
        """The exported bundle. Raises RecipeError where the recipe has no export."""
        if not (self.folder / "bundle").is_dir():
            raise RecipeError(f"{self.folder} has no bundle: the recipe has no `export`. Run: hft export {self.folder}")
        return self.folder / "bundle"

    @property
    def model(self) -> Path:
        """The finished model, as transformers loads it."""
        return self.folder / "model"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    def predict(self, inputs: Sequence[str] | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Predict texts, or rows with the task's columns, through the bundle."""
        from hft_core.runtime import load

        return load(self.bundle).predict(inputs)


def run(
    recipe: Path | str | Mapping[str, Any],
    *,
    out: Path | str | None = None,
    overrides: Iterable[str] = (),
    plugins: Iterable[Path | str] = (),
    progress: Progress | None = None,
    wait: bool = True,
) -> Run:
    """Carry out a recipe, given as file or dict, and give its Run.

    Args:
        recipe: a YAML file, or the same as a dict; paths in a dict start at the working folder.
        out: the run folder; default `runs/NAME` beside the recipe.
        overrides: changes such as ``"stages.1.optimizer.lr=3e-5"``.
        plugins: files with components, without packaging.
        progress: told about what happens; default: silence.
        wait: wait where another process computes the same, instead of raising LockedError.

    Raises the errors of `hft_core`, each saying what to do. What is finished stays in the store, so the
    same call continues after any of them.
    """
    registry = load_registry(plugins)
    loaded = load_recipe(recipe, registry, overrides)
    return carry_out(loaded, registry, Path(out) if out else None, progress or Progress(), wait)


def store_of(folder: Path) -> Store:
    """The store: HFT_STORE, or `.hft` beside the recipe."""
    return Store(Path(os.environ.get("HFT_STORE") or folder / ".hft").absolute())


def carry_out(loaded: LoadedRecipe, registry: Registry, out: Path | None, progress: Progress, wait: bool = True) -> Run:
    """Execute a loaded recipe and write its run folder."""
    target = out or loaded.folder / "runs" / loaded.recipe.name
    _writable(target)
    plan = build_plan(loaded, registry)
    store = store_of(loaded.folder)
    try:
        folders = execute(plan.nodes, store, progress, wait)
        write_run(loaded, registry, plan, store, folders, target)
    except OSError as error:
        raise DiskError(f"{target} cannot be written: {error.strerror}; choose another place with --out") from error
    finally:
        progress.close()
    return Run(target)


def _writable(target: Path) -> None:
    """Find out before hours of work whether the run folder can be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        probe = target.parent / f".{target.name}.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DiskError(f"{target} cannot be written: {error.strerror}; choose another place with --out") from error
    if target.exists() and not target.is_dir():
        raise DiskError(f"{target} is a file; choose another place with --out")
    if target.is_dir() and any(target.iterdir()) and not (target / "run.json").is_file():
        raise DiskError(f"{target} is not empty and no run folder; choose another place with --out")


def write_run(
    loaded: LoadedRecipe, registry: Registry, plan: Plan, store: Store, folders: Mapping[str, Path], target: Path
) -> None:
    """Write the run folder aside and put it into place; an earlier, different run there is kept as NAME.1, NAME.2, …"""
    keys = {node.key for node in plan.nodes}
    before = recorded(target)
    if before and not {node["key"] for node in before["nodes"].values()} <= keys:
        _move_aside(target, store)
    aside = target.parent / f".{target.name}.new-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        _write_quarantine(plan, folders, aside / "quarantine.jsonl")
        shipped = write_report(loaded, registry, plan, folders, aside, target)
        final = plan.stages[shipped][-1]
        link_tree(folders[final.name] / "model", aside / "model")
        for index, node in enumerate(plan.exports):
            link_tree(
                folders[node.name] / "files", aside / ("bundle" if index == 0 else node.name.replace("export ", ""))
            )
        note = {
            "format": 1,
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "store": str(store.root),
            "folder": str(loaded.folder),
            "recipe": loaded.raw,
            "plugins": [
                {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
                for plugin in registry.plugins
                if not plugin.problem
            ],
            "nodes": {node.name: {"key": node.key, "parts": node.parts} for node in plan.nodes},
        }
        (aside / "run.json").write_text(json.dumps(note, ensure_ascii=False, indent=1), encoding="utf-8")
        _replace(target, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    register(store, target, keys)


def _write_quarantine(plan: Plan, folders: Mapping[str, Path], target: Path) -> None:
    """Put the refused records of all sources into one file."""
    with target.open("w", encoding="utf-8") as stream:
        for node in (plan.prepare, *plan.texts.values()):
            if node is not None:
                stream.write((folders[node.name] / "quarantine.jsonl").read_text("utf-8"))


def _replace(target: Path, new: Path) -> None:
    """Put the new run folder in the place of the same run's old one; what a user has added there stays."""
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.is_dir():
        target.rename(old)
    new.rename(target)
    if old.is_dir():
        for item in old.iterdir():
            if not (target / item.name).exists():
                item.rename(target / item.name)
        shutil.rmtree(old)


def _move_aside(target: Path, store: Store) -> None:
    number = 1
    while (older := target.with_name(f"{target.name}.{number}")).exists():
        number += 1
    target.rename(older)
    note = json.loads((older / "run.json").read_text("utf-8"))
    register(store, older, [node["key"] for node in note["nodes"].values()])


def recorded(folder: Path) -> dict[str, Any]:
    """What a run folder remembers of its recipe and nodes; empty where there is none."""
    try:
        note: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DamagedError(f"{folder / 'run.json'} is damaged: {error}; run the recipe again") from error
    return note
