"""What a run without a folder yet uses is not removed; what a killed one used is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hft_core.store.gc import collect, in_use, removable
from hft_core.store.store import Store

_KILLED = """
import os, sys
from pathlib import Path
from hft_core.store.gc import in_use
from hft_core.store.store import Store
with in_use(Store(Path(sys.argv[1])), ["a" * 32]):
    os.kill(os.getpid(), 9)
"""


def made(store: Store, key: str) -> Path:
    return store.write(key, lambda out: (out / "x").write_text("x") and None)


def test_outputs_of_a_run_in_progress_stay(tmp_path: Path) -> None:
    store = Store(tmp_path)
    used, other = made(store, "a" * 32), made(store, "b" * 32)
    with in_use(store, ["a" * 32]):
        assert [item.folder for item in collect(store)] == [other]
        assert used.is_dir()
    assert [item.folder for item in removable(store)] == [used]


def test_what_a_killed_run_had_finished_stays_unless_asked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finished = made(store, "a" * 32)
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert not collect(store)
    assert finished.is_dir()
    assert [item.folder for item in collect(store, work=True)] == [finished]


def test_the_note_of_earlier_tries_goes_when_the_run_ends_well(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made(store, "a" * 32)
    subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert len(list((tmp_path / "active").glob("*.json"))) == 1
    with in_use(store, ["a" * 32]):
        pass
    assert not list((tmp_path / "active").glob("*.json"))
    assert len(removable(store)) == 1
