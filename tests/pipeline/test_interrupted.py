"""Runs that are stopped or broken; tests/contract/test_kills.py has those that are killed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest


def products(folder: Path) -> dict[str, bytes]:
    """What must be identical: weights, tokenizer, graphs."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for pattern in ("model/*.safetensors", "model/tokenizer.json", "bundle/onnx/*")
        for file in folder.glob(pattern)
    }


@pytest.mark.slow
def test_sigterm_checkpoints_and_exits_75(make_project: Any) -> None:
    whole = make_project("whole")
    process = whole.command("run", str(whole.write()), "--set", "stages.1.epochs=60")  # as many threads as below
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    wanted = products(whole.folder / "runs" / "small")
    stopped = make_project("stopped")
    recipe = stopped.write()
    process = stopped.command("run", str(recipe), "--set", "stages.1.epochs=60")
    assert process.stderr is not None
    for line in process.stderr:  # until it is in the middle of training
        if "stage tune: epoch 3" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert "run the same command to continue" in errors
    assert "Traceback" not in errors
    assert list((stopped.folder / ".hft" / "work").glob("*/step-*"))
    process = stopped.command("run", str(recipe), "--set", "stages.1.epochs=60")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "continuing at step" in errors
    found = products(stopped.folder / "runs" / "small")
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


def test_a_stop_between_nodes_is_honoured(project: Any, events: Any) -> None:
    """Asked while the rows are being prepared: the node is finished, the next one not begun."""
    import os

    import hft_core

    def say(text: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    events.say = say
    with pytest.raises(hft_core.Interrupted, match="run the same command to continue") as caught:
        project.run(progress=events)
    assert caught.value.exit_code == 75
    assert events.outcome == {"prepare train": "made"}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_is_not_finite_ends_with_exit_5(project: Any) -> None:
    """A learning rate that makes the weights overflow."""
    recipe = project.write()
    process = project.command(
        "run", str(recipe), "--set", "stages.1.optimizer={type: sgd, lr: 1e30}", "--set", "stages.1.clip=null"
    )
    _, errors = process.communicate()
    assert process.returncode == 5, errors
    assert "Traceback" not in errors
    assert "step " in errors
    assert "lines train " in errors
    assert not (project.folder / "runs" / "small").exists()
