"""`hft gc`: remove what no run folder refers to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hft_core.store.hashing import digest_json
from hft_core.store.store import Store


def register(store: Store, run: Path, keys: Iterable[str]) -> None:
    """Note that a run folder needs these outputs."""
    refs = store.root / "refs"
    refs.mkdir(parents=True, exist_ok=True)
    note = {"run": str(run.absolute()), "keys": sorted(keys)}
    temporary = refs / f".{digest_json(note)}"
    temporary.write_text(json.dumps(note, indent=1), encoding="utf-8")
    temporary.rename(refs / f"{digest_json(str(run.absolute()))}.json")


@dataclass(frozen=True)
class Removal:
    """One thing that gc may remove."""

    folder: Path
    bytes: int
    reason: str


def removable(store: Store) -> list[Removal]:
    """List outputs and leftovers that no existing run folder needs; nothing that is locked right now."""
    needed: set[str] = set()
    for note in (store.root / "refs").glob("*.json"):
        content = json.loads(note.read_text("utf-8"))
        if (Path(content["run"]) / "run.json").is_file():
            needed.update(content["keys"])
    found = []
    for place, reason in (
        ("objects", "no run refers to it"),
        ("work", "an unfinished run"),
        ("tmp", "left by a killed process"),
        ("damaged", "damaged"),
    ):
        for folder in sorted((store.root / place).glob("*")):
            key = folder.name.rpartition("-")[0] if place == "tmp" else folder.name
            if (place == "objects" and key in needed) or _locked(store, key):
                continue
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            found.append(Removal(folder, size, reason))
    return found


def collect(store: Store, work: bool = False) -> list[Removal]:
    """Remove what `removable` lists; checkpoints of unfinished runs only if `work`."""
    removed = []
    for item in removable(store):
        if item.folder.parent.name == "work" and not work:
            continue
        shutil.rmtree(item.folder)
        removed.append(item)
    for note in (store.root / "refs").glob("*.json"):
        if not (Path(json.loads(note.read_text("utf-8"))["run"]) / "run.json").is_file():
            note.unlink()
    return removed


def _locked(store: Store, key: str) -> bool:
    path = store.root / "locks" / f"{key}.lock"
    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(blocking=False):
            return False
    except Timeout:
        return True
