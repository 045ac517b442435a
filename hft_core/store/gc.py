"""`hft gc`: remove what no run folder refers to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hft_core.errors import DamagedError, DiskError
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


@contextmanager
def in_use(store: Store, keys: Iterable[str]) -> Iterator[None]:
    """Keep the outputs of a run that has no folder yet from removal.

    The note stays if the run dies or is interrupted, so that it finds what it had finished; it goes when
    the same run ends well, or by ``hft gc --work``.
    """
    wanted = sorted(keys)
    name = f"{digest_json(wanted)}-{os.getpid()}"
    note = store.root / "active" / f"{name}.json"
    with store.lock(name, lambda text: None):
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.with_suffix(".new").write_text(json.dumps(wanted), encoding="utf-8")
            note.with_suffix(".new").rename(note)
        except OSError as error:
            raise DiskError(
                f"the store {store.root} cannot be written: {error.strerror}. Choose another place with HFT_STORE"
            ) from error
        yield
        for other in note.parent.glob(f"{name.partition('-')[0]}-*.json"):  # earlier tries of the same run
            other.unlink(missing_ok=True)
    (store.root / "locks" / f"{name}.lock").unlink(missing_ok=True)


def _in_use(store: Store, unfinished: bool) -> set[str]:
    """Keys that runs without a folder need: those of living processes and, if `unfinished`, of interrupted runs."""
    keys: set[str] = set()
    for note in (store.root / "active").glob("*.json"):
        with _unlocked(store, note.stem) as free:
            if not free or unfinished:
                keys.update(json.loads(note.read_text("utf-8")))
    return keys


@dataclass(frozen=True)
class Removal:
    """One thing that gc may remove."""

    folder: Path
    bytes: int
    reason: str


def removable(store: Store, work: bool = False) -> list[Removal]:
    """List outputs and leftovers that no existing run folder needs; nothing that is locked right now.

    What an interrupted run had finished, and its checkpoints, are listed only with `work`.
    """
    needed = _in_use(store, unfinished=not work)
    for _, content in _notes(store):
        if (Path(content["run"]) / "run.json").is_file():
            needed.update(content["keys"])
    found = []
    for place, reason in (
        ("objects", "no run refers to it"),
        ("work", "an unfinished run"),
        ("tmp", "left by a killed process"),
        ("damaged", "damaged"),
    ):
        if place == "work" and not work:
            continue
        for folder in sorted((store.root / place).glob("*")):
            key = _key(folder)
            if place == "objects" and key in needed:
                continue
            with _unlocked(store, key) as free:
                if not free:
                    continue
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            found.append(Removal(folder, size, reason))
    return found


def collect(store: Store, work: bool = False) -> list[Removal]:
    """Remove what `removable` lists."""
    removed = []
    for item in removable(store, work):
        with _unlocked(store, _key(item.folder)) as free:
            if not free or _key(item.folder) in _in_use(store, unfinished=not work):  # a run may have begun meanwhile
                continue
            # First out of sight: what a killed gc leaves must not look like an output.
            dying = store.root / "tmp" / f"{_key(item.folder)}-gc{os.getpid()}"
            dying.parent.mkdir(exist_ok=True)
            shutil.rmtree(dying, ignore_errors=True)
            item.folder.rename(dying)
            shutil.rmtree(dying)
        removed.append(item)
    for note, content in _notes(store):
        if not (Path(content["run"]) / "run.json").is_file():
            note.unlink()
    return removed


def _notes(store: Store) -> Iterator[tuple[Path, dict[str, Any]]]:
    """What run folders need. Raises DamagedError for a note that cannot be read: its outputs must not be removed."""
    for note in sorted((store.root / "refs").glob("*.json")):
        try:
            content = json.loads(note.read_text("utf-8"))
            yield note, {"run": content["run"], "keys": content["keys"]}
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedError(
                f"{note} is damaged ({error}); remove it if its run is gone, or run its recipe again"
            ) from error


def _key(folder: Path) -> str:
    """The key of an output, also of one that is being written."""
    return folder.name.partition("-")[0]


@contextmanager
def _unlocked(store: Store, key: str) -> Iterator[bool]:
    """Hold a key's lock while the block runs; False where another process holds it."""
    path = store.root / "locks" / f"{key}.lock"
    if not path.exists():
        yield True
        return
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
