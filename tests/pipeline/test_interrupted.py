"""Runs that are killed, stopped, or broken end with the same bytes once the same command has been given again."""

from __future__ import annotations

import random
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


def whole_recipe(project: Any) -> Path:
    """All kinds of nodes: preparation with variants, pre-training, accumulation, a joint stage, export."""
    adapt, tune = project.recipe["stages"]
    tune["objectives"].append({"type": "masked-lm", "data": "corpus", "weight": {"from": 0.3, "to": 0.0}})
    adapt |= {"epochs": 3, "checkpoint_minutes": 0}
    tune |= {"epochs": 3, "checkpoint_minutes": 0, "micro_batch": 6, "schedule": {"type": "linear", "warmup": 0.2}}
    file: Path = project.write(
        prepare={"augment": [{"type": "random-swap", "copies": 1}]}, export=[{"type": "onnx", "precisions": ["fp32"]}]
    )
    return file


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(make_project: Any) -> None:
    whole = make_project("whole")
    process = whole.command("run", str(whole_recipe(whole)), PYTHONHASHSEED="1")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    wanted = products(whole.folder / "runs" / "small")
    assert len(wanted) >= 3

    killed = make_project("killed")
    recipe = whole_recipe(killed)
    draw = random.Random(7)
    kills = 0
    for attempt in range(60):
        process = killed.command("run", str(recipe), PYTHONHASHSEED=str(attempt))
        # The first ones die early, in imports and preparation; later ones anywhere up to the export.
        limit = draw.uniform(1, 9) if kills < 12 else 600
        try:
            _, errors = process.communicate(timeout=limit)
        except Exception:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, errors
        break
    assert kills >= 4
    found = products(killed.folder / "runs" / "small")
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


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


@pytest.mark.slow
def test_two_runs_in_other_folders_and_under_other_hash_seeds_are_the_same(make_project: Any) -> None:
    found = []
    for name, seed in (("one", "1"), ("two/deeper", "31337")):
        project = make_project(name)
        process = project.command("run", str(whole_recipe(project)), PYTHONHASHSEED=seed)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        found.append(products(project.folder / "runs" / "small"))
    assert sorted(found[0]) == sorted(found[1])
    assert [name for name in found[0] if found[0][name] != found[1][name]] == []


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
