"""The store: finished outputs by key. Present means complete and undamaged.

An output is written aside, listed with checksums, synced to disk and renamed into place, so a killed
process leaves nothing half done. One OS lock per key: a second process waits for the first one's
result and reuses it. Layout: ``objects/KEY/`` (outputs), ``work/KEY/`` (checkpoints of unfinished
ones), ``tmp/``, ``locks/``, ``refs/`` (run folders that need objects),
``scored/`` (which runs have scored which test labels), ``diverged/`` (which arms and baselines came to no numbers),
``search/`` (the studies of searches).
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hft_core.errors import DiskError, Interrupted, LockedError
from hft_core.store.hashing import digest_file

MANIFEST = "MANIFEST.json"


class Store:
    """A folder of outputs; made when it is first needed."""

    def __init__(self, root: Path):
        self.root = root

    def folder(self, key: str) -> Path:
        """Where the output of `key` lies if it is there."""
        return self.root / "objects" / key

    def has(self, key: str) -> bool:
        """Whether the output is there; its content is checked when it is used."""
        return (self.folder(key) / MANIFEST).is_file()

    def work(self, key: str) -> Path:
        """Where checkpoints of an unfinished output go; made by the one who writes the first."""
        return self.root / "work" / key

    def sound(self, key: str) -> bool:
        """Whether the output is there and matches its checksums; a damaged one is moved aside."""
        folder = self.folder(key)
        if not folder.is_dir():
            return False
        if damage(folder) is None:
            return True
        aside = self.root / "damaged" / key
        _make(aside.parent)
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        return False

    @contextmanager
    def lock(
        self,
        key: str,
        on_wait: Callable[[str], None],
        wait: bool = True,
        asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[None]:
        """Hold a key's lock. Where another process holds it: tell `on_wait` once and wait, or raise LockedError.

        Raises Interrupted if `asked_to_stop` while waiting.
        """
        _make(self.root / "locks")
        path = self.root / "locks" / f"{key}.lock"
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if not wait:
                raise LockedError(
                    f"{path}: another hft process is computing this; wait for it, or leave out --no-wait"
                ) from None
            on_wait(f"another hft process is computing this (lock {path.name}); waiting for its result")
            while not lock.is_locked:
                if asked_to_stop():
                    raise Interrupted("stopped while waiting, as asked; run the same command to continue") from None
                with suppress(Timeout):
                    lock.acquire(timeout=0.5)
        try:
            yield
        finally:
            lock.release()

    def write(self, key: str, fill: Callable[[Path], None]) -> Path:
        """Let `fill` write into an empty folder and put it into place whole. Call it while holding the lock."""
        temporary = self.root / "tmp" / f"{key}-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        _make(temporary)
        try:
            fill(temporary)
            _seal(temporary)
            _make(self.folder(key).parent)
            temporary.rename(self.folder(key))
            sync_folder(self.folder(key).parent)
        except Exception as error:
            if code := _system_error(error):
                raise OSError(code, os.strerror(code), str(temporary)) from error
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(self.root / "work" / key, ignore_errors=True)
        return self.folder(key)


def _system_error(error: Exception) -> int | None:
    """The system's error number where a library tells it in words only: Rust's (safetensors, tokenizers) and numpy."""
    if isinstance(error, OSError):
        return errno.ENOSPC if error.errno is None and "requested and" in str(error) else None
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def damage(folder: Path) -> str | None:
    """Compare a folder with its manifest; gives the first file that is missing or differs, None if all is well."""
    try:
        listed: dict[str, str] = json.loads((folder / MANIFEST).read_text("utf-8"))
        items = listed.items()
    except (OSError, ValueError, AttributeError):
        return MANIFEST
    for name, digest in items:
        if not (folder / name).is_file() or digest_file(folder / name) != digest:
            return name
    return None


def write_manifest(folder: Path) -> None:
    """List all files of a folder with their sha256, synced to disk."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != MANIFEST]
    for file in files:
        _sync(file)
    listed = {file.relative_to(folder).as_posix(): digest_file(file) for file in files}
    (folder / MANIFEST).write_text(json.dumps(listed, indent=1, ensure_ascii=False), encoding="utf-8")
    _sync(folder / MANIFEST)


def _seal(folder: Path) -> None:
    write_manifest(folder)
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o444)  # shared by runs through hard links: nobody edits it in place by accident
    sync_folder(folder)


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable (where the system can)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(
            f"{folder} cannot be made: {error.strerror}. Free or choose another place (HFT_STORE, --out)"
        ) from error


def link_tree(source: Path, target: Path) -> None:
    """Give `target` the files of `source`, as hard links where the file system can, else as copies."""
    for file in sorted(source.rglob("*")):
        if not file.is_file() or file.name == MANIFEST:
            continue
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError:
            shutil.copy2(file, place)
