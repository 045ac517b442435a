"""The run folder: written aside, put into place whole; an earlier, different run is kept beside it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import Any

from hft_core.data.ledger import QUARANTINE, without_texts
from hft_core.errors import DamagedError, DiskError
from hft_core.pipeline.gates import Settled
from hft_core.pipeline.journal import Journal
from hft_core.pipeline.plan import Plan
from hft_core.pipeline.report import export_folders, write_report
from hft_core.recipe.load import LoadedRecipe
from hft_core.registry import Registry
from hft_core.registry.record import record, used
from hft_core.store.gc import register
from hft_core.store.hashing import digest_json
from hft_core.store.store import Store, link_tree

_ABANDONED = 24 * 3600
"""Seconds after which a folder that was being written is what a killed process left."""


def require_writable(target: Path) -> None:
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
    loaded: LoadedRecipe, settled: Settled, registry: Registry, plan: Plan, store: Store, folders: Mapping[str, Path],
    target: Path, say: Callable[[str], None], journal: Journal,
) -> None:  # fmt: skip
    """Write the run folder aside and put it into place; an earlier, different run there is kept as NAME.1, NAME.2, …

    The same run's log is continued. `settled` is what gates left of the recipe.
    """
    nodes = [*plan.nodes, *(decision.node for decision in settled.decisions if decision.node)]
    keys = {node.key for node in nodes}
    aside = target.parent / f".{target.name}.new-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        _write_quarantine(plan, folders, aside / QUARANTINE, loaded.recipe.report.texts)
        shipped = write_report(loaded, settled, registry, plan, store, folders, aside, target)
        final = plan.stages[shipped][-1]
        link_tree(folders[final.name] / "model", aside / "model")
        for export, place in export_folders(plan, loaded.recipe, folders).items():
            link_tree(folders[export] / "files", aside / place)
        note = {
            "format": 1,
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "store": str(store.root),
            "folder": str(loaded.folder),
            "recipe": loaded.raw,
            "plugins": record(registry, used(loaded.recipe)),
            "nodes": {node.name: {"key": node.key, "parts": node.parts} for node in nodes},
        }
        (aside / "run.json").write_text(json.dumps(note, ensure_ascii=False, indent=1), encoding="utf-8")
        with store.lock(digest_json(str(target.absolute())), say):  # two runs may end at the same moment
            _recover(target)
            before = recorded(target)
            same = bool(before) and {node["key"] for node in before["nodes"].values()} <= keys
            journal.settle(aside, target if same else None)
            if before and not same:
                _move_aside(target, store)
            _replace(target, aside)
            register(store, target, keys)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_quarantine(plan: Plan, folders: Mapping[str, Path], target: Path, texts: bool) -> None:
    """Put the refused records of all sources into one file; without `texts`, only where each stands and its reason."""
    with target.open("w", encoding="utf-8") as stream:
        of_tasks = [node for task in plan.tasks.values() for node in task.splits.values()]
        for name in dict.fromkeys(node.name for node in (*of_tasks, *plan.texts.values())):
            whole = (folders[name] / QUARANTINE).read_text("utf-8")
            stream.write(whole if texts else without_texts(whole))


def _replace(target: Path, new: Path) -> None:
    """Put the new run folder in the place of the same run's old one; what a user has added there stays."""
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.is_dir():
        target.rename(old)
    new.rename(target)
    if old.is_dir():
        _take_over(old, target)


def _take_over(old: Path, target: Path) -> None:
    """Move what only the old folder has into the new one, and remove the rest."""
    for item in old.iterdir():
        if not (target / item.name).exists():
            item.rename(target / item.name)
    shutil.rmtree(old)


def _recover(target: Path) -> None:
    """Bring back a run folder that a killed process had moved aside, and remove what such a process had begun."""
    name = escape(target.name)
    for old in sorted(target.parent.glob(f".{name}.old-*")):
        if target.is_dir():
            _take_over(old, target)
        else:
            old.rename(target)
    for new in target.parent.glob(f".{name}.new-*"):
        if time.time() - new.stat().st_mtime > _ABANDONED:
            shutil.rmtree(new, ignore_errors=True)


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
        note: Any = json.loads((folder / "run.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DamagedError(f"{folder / 'run.json'} is damaged: {error}; run the recipe again") from error
    if not isinstance(note, dict):
        raise DamagedError(f"{folder / 'run.json'} is damaged: it is no JSON object; run the recipe again")
    return note
