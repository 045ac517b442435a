"""Output folders that are full or cannot be written: exit code 7, what is finished is kept, and the run can go on.

A full disk is a small file system in memory where mounting is permitted; elsewhere a limit on the size of
files (RLIMIT_FSIZE) that makes every larger write fail.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")


def mounted(folder: Path, *options: str) -> bool:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def file_system(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Give ``file_system(name, *options)``: a file system of its own; skips where mounting is not permitted."""
    made: list[Path] = []

    def make(name: str, *options: str) -> Path:
        if not mounted(tmp_path / name, *options):
            pytest.skip("mounting is not permitted here")
        made.append(tmp_path / name)
        return tmp_path / name

    yield make
    for folder in made:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # this process may still have a file mapped


def in_store(store: Path) -> list[Path]:
    return sorted(store.glob("objects/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "step"),
    [
        (1_000, "prepare train"),  # the first table
        (5_000, "preprocessor"),  # told by the tokenizers library in words only
        (500_000, "stage finetune-0"),  # and by safetensors
    ],
)
def test_a_store_whose_files_cannot_grow(
    size: int, step: str, tiny: Any, hft: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    outcome = hft("run", tiny.write(), before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    refused(outcome, "disk", f"{step}: the store", "File too large", "HFT_STORE", "what is finished is kept")
    assert all((folder / "MANIFEST.json").is_file() for folder in in_store(tmp_path / "store"))
    assert not (tmp_path / "store" / "tmp").exists() or not list((tmp_path / "store" / "tmp").iterdir())
    assert not (tiny.folder / "runs" / "tiny").exists()


@pytest.mark.parametrize("size", ["40k", "4m"])
def test_a_full_disk_and_the_same_command_after_room_was_made(
    size: str,
    tiny: Any,
    file_system: Callable[..., Path],
    hft_here: Callable[..., Any],
    refused: Callable[..., None],
    tmp_path: Path,
) -> None:
    place = file_system("small", f"size={size}")
    tiny.recipe["stages"][0]["checkpoint_minutes"] = 0
    recipe = tiny.write()
    outcome = hft_here("run", recipe, HFT_STORE=str(place / "store"))
    refused(outcome, "disk", "No space left on device", str(place))
    finished = in_store(place / "store")
    assert all((folder / "MANIFEST.json").is_file() for folder in finished)
    subprocess.run(["mount", "-o", "remount,size=60m", str(place)], check=True)
    outcome = hft_here("run", recipe, HFT_STORE=str(place / "store"), cwd=tmp_path)
    assert outcome.code == 0, outcome
    assert outcome.err.count("in the store already") == len(finished)


def test_a_store_that_is_read_only(
    tiny: Any, file_system: Callable[..., Path], hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    """Being root, only a file system can refuse."""
    place = file_system("sealed", "ro")
    outcome = hft_here("run", tiny.write(), HFT_STORE=str(place / "store"))
    refused(outcome, "disk", str(place), "Read-only file system", "HFT_STORE")


def test_a_run_folder_that_is_read_only(
    tiny: Any,
    file_system: Callable[..., Path],
    hft_here: Callable[..., Any],
    refused: Callable[..., None],
    tmp_path: Path,
) -> None:
    place = file_system("sealed", "ro")
    refused(hft_here("run", tiny.write(), "--out", place / "run"), "disk", str(place), "Read-only file system", "--out")
    assert not (tmp_path / "store").exists()  # told before hours of work


def test_a_run_folder_on_a_full_disk(
    tiny: Any, file_system: Callable[..., Path], hft_here: Callable[..., Any], refused: Callable[..., None]
) -> None:
    place = file_system("small", "size=100k")
    recipe = tiny.write()
    refused(hft_here("run", recipe, "--out", place / "run"), "disk", str(place), "No space left on device", "--out")
    assert [item.name for item in place.iterdir()] == ["run.live"]  # the log says how it ended
    assert hft_here("run", recipe).err.count("in the store already") == 9  # nothing of the work was lost


@pytest.mark.parametrize("what", ["a file", "somebody's folder"])
def test_a_run_folder_that_is_something_else(
    what: str, tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    if what == "a file":
        out.write_text("keep", encoding="utf-8")
        kept = out
    else:
        out.mkdir()
        kept = out / "notes.txt"
        kept.write_text("keep", encoding="utf-8")
    refused(hft_here("run", tiny.write(), "--out", out), "disk", "mine", "choose another place with --out")
    assert kept.read_text("utf-8") == "keep"
    assert not (tmp_path / "store").exists()


def test_a_store_that_is_a_file(
    tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("keep", encoding="utf-8")
    outcome = hft_here("run", tiny.write(), HFT_STORE=str(tmp_path / "file"))
    refused(outcome, "disk", str(tmp_path / "file"), "HFT_STORE")
    assert (tmp_path / "file").read_text("utf-8") == "keep"


def test_predictions_to_a_full_device(
    tiny: Any, hft_here: Callable[..., Any], refused: Callable[..., None], bundle: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    outcome = hft_here("predict", bundle, "a text", "--out", "/dev/full")
    refused(outcome, "disk", "/dev/full", "No space left on device", "--out")


def test_a_damaged_output_is_made_again(tiny: Any, hft_here: Callable[..., Any], tmp_path: Path) -> None:
    recipe = tiny.write()
    assert hft_here("run", recipe).code == 0
    first = json.loads((tiny.folder / "runs" / "tiny" / "report.json").read_text("utf-8"))["metrics"]
    [weights] = (tmp_path / "store").glob("objects/*/model/model.safetensors")
    weights.chmod(0o644)
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1  # a flipped bit, which safetensors does not notice
    weights.write_bytes(bytes(content))
    outcome = hft_here("run", recipe)
    assert outcome.code == 0
    assert "stage finetune-0: done" in outcome.err
    assert json.loads((tiny.folder / "runs" / "tiny" / "report.json").read_text("utf-8"))["metrics"] == first
    assert list((tmp_path / "store" / "damaged").iterdir())
