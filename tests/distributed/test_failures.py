"""What fails in one process ends all, at once, with one message and its exit code; nothing waits for a collective's limit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hft_core import RecipeError
from hft_core.cli.check import command

pytestmark = pytest.mark.slow

WATCHED = Path(__file__).with_name("watched.py")


def test_a_bad_row_in_one_process(project: Any) -> None:
    ended = project.carry_out(2, WATCH_ACTION="fail 1 4")
    assert ended.codes == [3, 3], ended.said
    assert ended.told() == ["error: the row behind step 4 is bad"]
    assert not project.run.exists()


def test_an_error_of_the_first_process_before_training(project: Any) -> None:
    """The second one waits for the rows that the first prepares."""
    (project.folder / "train.csv").write_text("text,label\n", encoding="utf-8")
    ended = project.carry_out(2)
    assert ended.codes == [3, 3], ended.said
    assert len(ended.told()) == 1


def test_a_mistake_in_the_recipe_is_told_once(project: Any) -> None:
    project.recipe["stages"][0]["epoch"] = 3
    ended = project.carry_out(2)
    assert ended.codes == [2, 2], ended.said
    assert len(ended.told()) == 1


STUCK = """
import time
from hft_core.errors import DataError
from hft_core.pipeline import ranks

ranks._GRACE = 0.5
with ranks.joined() as together:
    if together.first:
        time.sleep(10_000)  # as in a collective that the other process never comes to
    raise DataError("what the second process found")
"""


ENDS = """
import threading, time
from hft_core.pipeline import ranks

watch = ranks.Ranks._watch
ranks.Ranks._watch = lambda self: (watch(self), time.sleep(0.5))  # as if a last question were under way
with ranks.joined():
    pass
assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
"""


def two_programs(code: str) -> tuple[list[int], list[str]]:
    """Run a program in two processes; gives their exit codes and what they print to stderr."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | common | {"RANK": str(rank)}, stderr=-1, text=True
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in begun]
    return [process.returncode for process in begun], said


def test_no_thread_is_left_when_a_process_ends() -> None:
    """One that asks for values while the interpreter ends would abort it (exit code -6)."""
    assert two_programs(ENDS) == ([0, 0], ["", ""])


def test_a_process_that_is_stuck_is_ended() -> None:
    codes, said = two_programs(STUCK)
    assert codes == [3, 1], said  # a program of its own ends as Python does
    assert "what the second process found" in said[1]
    assert said[0] == ""


def test_no_memory_beside_rows_that_couple(project: Any) -> None:
    """The other process waits for vectors that do not come."""
    project.recipe["stages"] = project.recipe["stages"][1:]
    del project.recipe["data"]["corpus"]
    project.recipe["stages"][0]["objectives"].append({"type": "starving", "data": "train", "weight": 0.1})
    ended = project.carry_out(2, WATCH_ACTION="memory 1 6")
    assert ended.codes == [6, 6], ended.said
    assert "does not fit into memory" in ended.told()[0]


@pytest.mark.slow
def test_a_process_that_is_killed(project: Any) -> None:
    ended = project.carry_out(2, WATCH_ACTION="kill 1 4")
    assert ended.codes == [75, -9], ended.said
    assert ended.told()[0].startswith("error: another process of this run is gone")


def test_more_processes_than_rows(project: Any) -> None:
    project.recipe["stages"][1] |= {"batch_size": 1, "micro_batch": 1}
    ended = project.carry_out(2)
    assert ended.codes == [2, 2], ended.said
    (told,) = ended.told()
    assert "stages[1].batch_size" in told or "stages.1.batch_size" in told
    assert "leaves 1 of 2 processes without a row" in told


def test_check_finds_it_too(project: Any) -> None:
    project.recipe["stages"][1] |= {"batch_size": 3, "micro_batch": 1}
    arguments = [str(project.write()), "--plugin", str(WATCHED), "--processes"]
    assert CliRunner().invoke(command, [*arguments, "3"]).exit_code == 0
    refused = CliRunner().invoke(command, [*arguments, "8"]).exception
    assert isinstance(refused, RecipeError)
    assert "a batch of 3 rows leaves 5 of 8 processes without a row" in str(refused)


@pytest.mark.slow
def test_a_store_that_is_not_shared(project: Any) -> None:
    ended = project.carry_out(2, HFT_STORE=[str(project.folder / "one"), str(project.folder / "two")])
    assert ended.codes == [2, 2], ended.said
    (told,) = ended.told()
    assert "Set HFT_STORE to a folder on a file system that all machines share" in told
