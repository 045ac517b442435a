"""A second `hft run` of the same recipe at the same time: it waits and reuses, or exits with 8."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# A reader that holds the first node's lock for as long as a file is there.
SLOW = '''
import time
from pathlib import Path
from typing import Literal
from hft_core import Reader, Rows, hookimpl

class Slow(Reader):
    """Waits."""
    type: Literal["slow"]
    path: Path

    def read(self):
        (self.path.parent / "begun").touch()
        end = time.monotonic() + 60
        while (self.path.parent / "hold").exists() and time.monotonic() < end:
            time.sleep(0.02)
        texts = [f"text {n} is {('bad', 'good')[n % 2]}" for n in range(40)]
        yield Rows({"review": texts, "sentiment": [("neg", "pos")[n % 2] for n in range(40)]}, list(range(1, 41)))

@hookimpl
def register_readers():
    return [Slow]
'''


def wait_for(place: Path, process: Any) -> None:
    """Wait until there is something at `place`: a file, or in a folder of checkpoints."""
    end = time.monotonic() + 60
    while not (place.is_file() or list(place.glob("*/step-*"))):
        assert time.monotonic() < end, f"{place} does not come"
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def held(tiny: Any, start: Callable[..., Any]) -> Callable[..., Any]:
    """Begin a run that holds its first lock until `release` is called."""
    (tiny.folder / "slow.py").write_text(SLOW, encoding="utf-8")
    tiny.recipe["data"]["train"] = {"type": "slow", "path": "train.csv"}
    del tiny.recipe["data"]["validation"]
    (tiny.folder / "hold").touch()
    arguments = ("run", tiny.write(), "--plugin", tiny.folder / "slow.py")

    def begin(*more: str) -> Any:
        return start(*arguments, *more)

    return begin


def test_the_second_waits_and_reuses(held: Callable[..., Any], tiny: Any, tmp_path: Path) -> None:
    first = held()
    wait_for(tiny.folder / "begun", first)
    second = held()
    time.sleep(3)  # long enough to come to the lock; if not, it has nothing to wait for, and the test below fails
    (tiny.folder / "hold").unlink()
    (_, err1), (_, err2) = first.communicate(timeout=120), second.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (0, 0), err1 + err2
    assert "another hft process is computing this" in err2
    assert "waiting for its result" in err2
    assert "in the store already" in err2
    # Each node was made once, by one of the two.
    assert (err1 + err2).count(": done in ") == len(list((tmp_path / "store" / "objects").iterdir()))
    assert [folder.name for folder in (tiny.folder / "runs").iterdir()] == ["tiny"]
    assert json.loads((tiny.folder / "runs" / "tiny" / "report.json").read_text("utf-8"))["name"] == "tiny"
    assert (tiny.folder / "runs" / "tiny" / "model" / "model.safetensors").is_file()


def test_the_second_does_not_wait_if_told_so(
    held: Callable[..., Any], tiny: Any, hft: Callable[..., Any], refused: Callable[..., None]
) -> None:
    first = held()
    wait_for(tiny.folder / "begun", first)
    outcome = hft("run", tiny.folder / "recipe.yaml", "--plugin", tiny.folder / "slow.py", "--no-wait")
    refused(outcome, "locked", ".lock: another hft process is computing this; wait for it, or leave out --no-wait")
    (tiny.folder / "hold").unlink()
    _, err = first.communicate(timeout=120)
    assert first.returncode == 0, err


def test_a_killed_process_leaves_no_lock(held: Callable[..., Any], tiny: Any, tmp_path: Path) -> None:
    first = held()
    wait_for(tiny.folder / "begun", first)
    first.kill()
    first.communicate()
    assert not list((tmp_path / "store" / "objects").glob("*"))
    (tiny.folder / "hold").unlink()
    second = held("--no-wait")
    _, err = second.communicate(timeout=120)
    assert second.returncode == 0, err


def test_asked_to_stop_it_exits_with_75_and_goes_on_later(
    tiny: Any, start: Callable[..., Any], hft: Callable[..., Any], tmp_path: Path
) -> None:
    tiny.recipe["stages"][0] |= {"epochs": 200, "checkpoint_minutes": 0}
    recipe = tiny.write()
    process = start("run", recipe)
    wait_for(tmp_path / "store" / "work", process)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "run the same command to continue" in err
    assert "Traceback" not in err
    assert list((tmp_path / "store" / "work").glob("*/step-*"))
    assert "continue" in hft("plan", recipe).out
