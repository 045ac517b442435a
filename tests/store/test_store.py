"""The store: complete or not at all, checked when it is used, one process at a time for a key."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hft_core import DiskError, LockedError
from hft_core.store.hashing import digest_json, digest_path, digest_source
from hft_core.store.store import MANIFEST, Store, damage, link_tree

KEY = "k" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def two_files(folder: Path) -> None:
    (folder / "a.txt").write_text("one", encoding="utf-8")
    (folder / "里" / "深").mkdir(parents=True)
    (folder / "里" / "深" / "b.bin").write_bytes(bytes(range(256)))


def silent(text: str) -> None:
    raise AssertionError(f"nothing has to wait here, but: {text}")


def test_an_output_is_whole_and_sealed(store: Store) -> None:
    folder = store.write(KEY, two_files)
    assert folder == store.folder(KEY)
    assert store.has(KEY)
    assert store.sound(KEY)
    assert damage(folder) is None
    assert (folder / "里" / "深" / "b.bin").stat().st_mode & 0o222 == 0
    assert not list((store.root / "tmp").iterdir())


def test_while_it_is_written_nothing_is_visible(store: Store) -> None:
    def fill(folder: Path) -> None:
        two_files(folder)
        assert not store.has(KEY)
        assert not store.folder(KEY).exists()

    store.write(KEY, fill)
    assert store.has(KEY)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_failure_leaves_nothing(error: BaseException, store: Store) -> None:
    def fill(folder: Path) -> None:
        two_files(folder)
        raise error

    with pytest.raises(type(error)):
        store.write(KEY, fill)
    assert not store.folder(KEY).exists()
    assert not list((store.root / "tmp").iterdir())


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("Error while serializing: I/O error: No space left on device (os error 28)", errno.ENOSPC),
        ("File too large (os error 27)", errno.EFBIG),
    ],
)
def test_errors_that_a_library_tells_in_words(message: str, number: int, store: Store) -> None:
    def fill(folder: Path) -> None:
        raise RuntimeError(message)

    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        store.write(KEY, fill)
    assert raised.value.errno == number


def test_numpys_words_for_a_full_disk(store: Store) -> None:
    def fill(folder: Path) -> None:
        raise OSError("1000 requested and 12 written")

    with pytest.raises(OSError, match="No space left") as raised:
        store.write(KEY, fill)
    assert raised.value.errno == errno.ENOSPC


def killed(root: Path, body: str) -> None:
    """Run `body` (with `store`, `fill`) in a process that kills itself somewhere in it."""
    program = f"""
        import os, signal, sys
        from pathlib import Path
        from hft_core.store.store import Store
        import hft_core.store.store as module

        store = Store(Path({str(root)!r}))
        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        def fill(folder):
            (folder / "a.txt").write_text("one")
    """
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(program) + textwrap.dedent(body)], check=False)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(
    "moment",
    [
        "fill = lambda folder: ((folder / 'a.txt').write_text('half'), die())",  # within its own writes
        "module.write_manifest = die",  # before its list
        "module._seal = lambda folder: (module.write_manifest(folder), die())",  # before the rename
    ],
)
def test_killed_half_way_nothing_is_visible_and_the_next_one_succeeds(moment: str, store: Store) -> None:
    killed(store.root, f"{moment}\nwith store.lock({KEY!r}, print):\n    store.write({KEY!r}, fill)")
    assert not store.has(KEY)
    assert not store.sound(KEY)
    assert list((store.root / "tmp").iterdir())  # what gc takes away
    with store.lock(KEY, silent, wait=False):  # the system has released the lock
        store.write(KEY, two_files)
    assert store.sound(KEY)


@pytest.mark.parametrize("how", ["flipped", "cut", "missing", "manifest missing", "manifest no list", "manifest cut"])
def test_a_damaged_output_is_set_aside_and_made_again(how: str, store: Store) -> None:
    folder = store.write(KEY, two_files)
    file, manifest = folder / "里" / "深" / "b.bin", folder / MANIFEST
    for each in (file, manifest):
        each.chmod(0o644)
    if how == "flipped":
        file.write_bytes(bytes(255) + b"\1")
    elif how == "cut":
        file.write_bytes(b"")
    elif how == "missing":
        file.unlink()
    elif how == "manifest missing":
        manifest.unlink()
    else:
        manifest.write_text("[]" if how == "manifest no list" else '{"a.txt": ', encoding="utf-8")
    assert not store.sound(KEY)
    assert not store.has(KEY)
    assert (store.root / "damaged" / KEY / "a.txt").is_file()  # nothing is thrown away unseen
    store.write(KEY, two_files)
    assert store.sound(KEY)


def test_making_it_ends_its_checkpoints(store: Store) -> None:
    (store.work(KEY) / "step-000000001").mkdir(parents=True)
    store.write(KEY, two_files)
    assert not (store.root / "work" / KEY).exists()


def test_a_lock_is_held_by_one_process(store: Store, tmp_path: Path) -> None:
    waiting: list[str] = []
    with held_elsewhere(store, tmp_path) as release:
        refusal = pytest.raises(LockedError, match=r"another hft process is computing this; .*--no-wait")
        with refusal, store.lock(KEY, waiting.append, wait=False):
            pass
        assert waiting == []
        release()
        with store.lock(KEY, waiting.append):
            pass
    assert len(waiting) <= 1
    with store.lock("other", silent, wait=False):
        pass


class held_elsewhere:  # reads as a statement
    """Hold KEY's lock in another process until told."""

    def __init__(self, store: Store, folder: Path):
        self.go = folder / "go"
        program = textwrap.dedent(f"""
            import time
            from pathlib import Path
            from hft_core.store.store import Store
            with Store(Path({str(store.root)!r})).lock({KEY!r}, print):
                Path({str(folder / "locked")!r}).touch()
                while not Path({str(self.go)!r}).exists():
                    time.sleep(0.02)
        """)
        self.process = subprocess.Popen([sys.executable, "-c", program])
        end = time.monotonic() + 30
        while not (folder / "locked").exists():
            assert time.monotonic() < end
            time.sleep(0.02)

    def __enter__(self) -> Callable[[], None]:
        return self.go.touch

    def __exit__(self, *_: object) -> None:
        self.go.touch()
        self.process.wait(timeout=30)


def test_waiting_is_told_once(store: Store, tmp_path: Path) -> None:
    waiting: list[str] = []

    def told(text: str) -> None:
        waiting.append(text)
        release()

    with held_elsewhere(store, tmp_path) as release, store.lock(KEY, told):
        pass
    [text] = waiting
    assert "another hft process is computing this" in text
    assert f"{KEY}.lock" in text


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"file.* cannot be made: .*HFT_STORE"):
        Store(tmp_path / "file").write(KEY, two_files)


def test_links_do_not_copy_and_leave_the_manifest(store: Store, tmp_path: Path) -> None:
    folder = store.write(KEY, two_files)
    link_tree(folder, tmp_path / "run")
    assert sorted(file.name for file in (tmp_path / "run").rglob("*") if file.is_file()) == ["a.txt", "b.bin"]
    assert (tmp_path / "run" / "a.txt").samefile(folder / "a.txt")


def test_hashes_are_of_content(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    two_files(tmp_path / "a")
    before = digest_path(tmp_path / "a")
    os.utime(tmp_path / "a" / "a.txt", (1, 1))
    (tmp_path / "a").rename(tmp_path / "b")
    assert digest_path(tmp_path / "b") == before
    (tmp_path / "b" / "a.txt").rename(tmp_path / "b" / "c.txt")
    assert digest_path(tmp_path / "b") != before
    assert digest_path(tmp_path / "a") == "absent"
    assert digest_json({"a": 1, "b": [1, "好"]}) == digest_json({"b": [1, "好"], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": "1"})
    assert digest_json([["a"], "b"]) != digest_json(["a", ["b"]])


def test_the_hash_of_source_leaves_caches_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1", encoding="utf-8")
    before = digest_source(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert digest_source(tmp_path) == before
    (tmp_path / "table.tsv").write_text("data counts", encoding="utf-8")
    assert digest_source(tmp_path) != before
