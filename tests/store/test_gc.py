"""`hft gc`: never what a run folder refers to, never what is in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core import DamagedError
from hft_core.store.gc import collect, register, removable
from hft_core.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def output(store: Store, key: str) -> str:
    store.write(key, lambda folder: (folder / "a.txt").write_text(key, encoding="utf-8") and None)
    return key


def run_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text("{}", encoding="utf-8")
    return folder


def names(found: list[Any]) -> list[str]:
    return sorted(f"{item.folder.parent.name}/{item.folder.name}" for item in found)


def test_what_a_run_folder_refers_to_stays(store: Store, tmp_path: Path) -> None:
    needed, shared, orphan = (output(store, key * 32) for key in "abc")
    register(store, run_folder(tmp_path / "one"), [needed, shared])
    register(store, run_folder(tmp_path / "two"), [shared])
    assert names(removable(store)) == [f"objects/{orphan}"]
    assert removable(store)[0].reason == "no run refers to it"
    assert removable(store)[0].bytes > 32
    assert names(collect(store)) == [f"objects/{orphan}"]
    assert store.sound(needed)
    assert store.sound(shared)
    assert not store.folder(orphan).exists()
    # When a run folder is deleted, what only it needed may go.
    (tmp_path / "one" / "run.json").unlink()
    assert names(collect(store)) == [f"objects/{needed}"]
    assert store.sound(shared)
    assert len(list((store.root / "refs").iterdir())) == 1


def test_a_run_that_is_registered_again_needs_what_it_needs_now(store: Store, tmp_path: Path) -> None:
    before, now = output(store, "a" * 32), output(store, "b" * 32)
    run = run_folder(tmp_path / "one")
    register(store, run, [before])
    register(store, run, [now])
    assert names(collect(store)) == [f"objects/{before}"]


def test_what_is_in_use_stays(store: Store) -> None:
    key = output(store, "a" * 32)
    (store.root / "tmp").mkdir(exist_ok=True)
    (store.root / "tmp" / f"{key}-123").mkdir()
    store.work(key).mkdir(parents=True)
    with store.lock(key, print):
        assert removable(store) == []
        assert collect(store, work=True) == []
    assert names(collect(store, work=True)) == [f"objects/{key}", f"tmp/{key}-123", f"work/{key}"]
    assert not list((store.root / "tmp").iterdir())


def test_checkpoints_go_only_when_asked(store: Store) -> None:
    store.work("a" * 32).mkdir(parents=True)
    assert collect(store) == []
    assert names(collect(store, work=True)) == [f"work/{'a' * 32}"]


def test_a_damaged_note_stops_it(store: Store, tmp_path: Path) -> None:
    """Without it, nobody knows what its run needs."""
    key = output(store, "a" * 32)
    register(store, run_folder(tmp_path / "one"), [key])
    [note] = (store.root / "refs").iterdir()
    for content in ("{", "[]", "{}", '"text"'):
        note.write_text(content, encoding="utf-8")
        with pytest.raises(DamagedError, match=r"refs.*\.json is damaged"):
            collect(store)
    assert store.sound(key)


def test_an_empty_store(store: Store) -> None:
    assert collect(store) == []
    assert not store.root.exists()


def test_after_a_run_nothing_of_it_goes(tiny: Any, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    recipe = tiny.write()
    assert hft_here("run", recipe).code == 0
    kept = sorted((tmp_path / "store" / "objects").iterdir())
    outcome = hft_here("gc", tiny.folder, "--yes", "--work")
    assert outcome.code == 0
    assert "0 removed" in outcome.out
    assert sorted((tmp_path / "store" / "objects").iterdir()) == kept
    # Another run beside it, then without it.
    assert hft_here("run", recipe, "--set", "stages.0.epochs=2", "--out", tmp_path / "other").code == 0
    assert "0 could be removed" in hft_here("gc", tiny.folder).out
    (tmp_path / "other" / "run.json").rename(tmp_path / "other.json")
    outcome = hft_here("gc", tiny.folder)
    assert "no run refers to it" in outcome.out
    assert "next: hft gc" in outcome.out
    assert (
        len(list((tmp_path / "store" / "objects").iterdir())) == len(kept) + 3
    )  # shown only: a stage, an evaluation, a diagnosis
    assert "3 removed" in hft_here("gc", tiny.folder, "--yes").out
    assert sorted((tmp_path / "store" / "objects").iterdir()) == kept
    assert hft_here("run", recipe).err.count("in the store already") == len(kept)
    assert json.loads((tiny.folder / "runs" / "tiny" / "run.json").read_text("utf-8"))["store"] == str(
        tmp_path / "store"
    )
