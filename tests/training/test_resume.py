"""A stage that died goes on as if it had not: the same weights, bit for bit."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hft_core import Interrupted
from hft_core.training import checkpoint
from hft_core.training.loop import train
from hft_plugins.optimizers.schedules import Linear
from hft_plugins.optimizers.torch_optimizers import SGD, Adam, AdamW

from .conftest import latest

OPTIMIZERS = {
    "adam": Adam(type="adam", lr=1e-3),
    "adamw": AdamW(type="adamw", lr=1e-3),
    "sgd": SGD(type="sgd", lr=0.05),
    "momentum": SGD(type="sgd", lr=0.05, momentum=0.9),
}


def job(bench: Any, make_rows: Any, work: Path | None, optimizer: str = "adamw", **settings: Any) -> Any:
    """A joint stage of a fresh model with dropout: 9 steps, three validations, accumulation, settling excluded."""
    settings = {"epochs": 3, "micro_batch": 7, "clip": 1.0, "start": None, "checkpoint_minutes": 0} | settings
    parts = [
        (bench.objective("classification"), make_rows(40)),
        (bench.objective("masked-lm", weight={"from": 0.5, "to": 0.0}), make_rows(70, seed=3)),
    ]
    return bench.job(
        *parts,
        work=work,
        validation=make_rows(110, seed=9),
        optimizer=OPTIMIZERS[optimizer],
        schedule=Linear(type="linear", warmup=0.2),
        **settings,
    )


def assert_same(left: Any, right: Any) -> None:
    """The same weights and the same story."""
    weights = dict(right.net.named_parameters())
    for name, weight in left.net.named_parameters():
        assert torch.equal(weight, weights[name]), name
    assert left.history == right.history
    assert left.best_step == right.best_step


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_killed_stage_ends_with_the_same_weights(
    bert: Any, make_rows: Any, tmp_path: Path, crashed: Any, optimizer: str
) -> None:
    whole = train(job(bert, make_rows, None, optimizer, checkpoint_minutes=1000))
    assert whole.steps == 9
    for after in (1, 4, 5, 8):  # again and again, in one work folder
        crashed(job(bert, make_rows, tmp_path, optimizer), after)
    made = job(bert, make_rows, tmp_path, optimizer)
    said: list[str] = []
    made.say = said.append
    assert_same(train(made), whole)
    assert "continuing at step 7 of 9" in said


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stage_killed_while_a_new_head_settles(
    bert: Any, make_rows: Any, tmp_path: Path, crashed: Any, optimizer: str
) -> None:
    net = bert.model.build(bert.start, bert.preprocessor, {"main": bert.task.head(bert.facts)})
    start = tmp_path / "start"
    start.mkdir()
    net.save(start)

    def made(work: Path | None) -> Any:
        parts = (bert.objective("masked-lm"), make_rows(178))
        return bert.job(
            parts,
            work=work,
            start=start,
            epochs=3,
            batch_size=32,
            checkpoint_minutes=0,
            optimizer=OPTIMIZERS[optimizer],
        )

    whole = train(made(tmp_path / "whole"))
    for after in (2, 3, 4):  # 18 steps, of which the first two settle
        crashed(made(tmp_path / "work"), after)
    assert_same(train(made(tmp_path / "work")), whole)


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_random_crashes_in_pretraining(benches: Any, make_rows: Any, tmp_path: Path, crashed: Any, family: str) -> None:
    bench = benches[family]
    kind = {"bert": "masked-lm", "gpt": "causal-lm"}[family]

    def made(work: Path | None) -> Any:
        parts = (bench.objective(kind), make_rows(80 if family == "bert" else 300))
        return bench.job(
            parts, work=work, start=None, epochs=3, batch_size=8, checkpoint_minutes=0, optimizer=OPTIMIZERS["adam"]
        )

    whole = train(made(tmp_path / "whole"))
    draw = random.Random(1)
    done = 0
    while (done := done + draw.randint(1, 6)) < whole.steps:
        crashed(made(tmp_path / "work"), done)
    assert_same(train(made(tmp_path / "work")), whole)


def test_a_request_to_stop_is_honoured_after_a_checkpoint(bert: Any, make_rows: Any, tmp_path: Path) -> None:
    whole = train(job(bert, make_rows, None, checkpoint_minutes=1000))
    made = job(bert, make_rows, tmp_path, checkpoint_minutes=1000)

    def advance(step: int, steps: int, figures: Any) -> None:
        made.stop.asked = step >= 5

    made.advance = advance
    with pytest.raises(Interrupted, match="stopped at step 5 of 9") as caught:
        train(made)
    assert caught.value.exit_code == 75
    assert [folder.name for folder in tmp_path.glob("step-*")] == ["step-000000005"]
    assert_same(train(job(bert, make_rows, tmp_path)), whole)


def test_the_last_two_checkpoints_are_kept(bert: Any, make_rows: Any, tmp_path: Path, crashed: Any) -> None:
    crashed(job(bert, make_rows, tmp_path), 6)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step-000000004", "step-000000005"]


def test_a_stage_that_is_shorter_than_its_interval_writes_none(bert: Any, make_rows: Any, tmp_path: Path) -> None:
    train(job(bert, make_rows, tmp_path, checkpoint_minutes=1000))
    assert not list(tmp_path.iterdir())


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


DAMAGES = {
    "deleted": lambda file: file.unlink(),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-3]),
    "emptied": lambda file: file.write_bytes(b""),
    "flipped": flip,
}


@pytest.fixture(scope="module")
def unfinished(bert: Any, make_rows: Any, crashed: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Checkpoints of steps 4 and 5 of 9, and the uninterrupted result."""
    work = tmp_path_factory.mktemp("unfinished")
    crashed(job(bert, make_rows, work), 6)
    return work, train(job(bert, make_rows, None, checkpoint_minutes=1000))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "MANIFEST.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    bert: Any, make_rows: Any, tmp_path: Path, unfinished: Any, file: str, damage: str
) -> None:
    checkpoints, whole = unfinished
    work = tmp_path / "work"
    shutil.copytree(checkpoints, work)
    DAMAGES[damage](work / "step-000000005" / file)  # type: ignore[operator]  # one of the functions above
    made = job(bert, make_rows, work)
    said: list[str] = []
    made.say = said.append
    assert_same(train(made), whole)
    assert "continuing at step 4 of 9" in said


def test_with_both_damaged_the_stage_begins_anew(bert: Any, make_rows: Any, tmp_path: Path, unfinished: Any) -> None:
    checkpoints, whole = unfinished
    work = tmp_path / "work"
    shutil.copytree(checkpoints, work)
    for folder in work.iterdir():
        flip(folder / "tensors.safetensors")
    assert_same(train(job(bert, make_rows, work)), whole)


def test_an_unfinished_checkpoint_is_ignored(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 3, {"a": torch.ones(2)}, {"step": 3})
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "tensors.safetensors").write_bytes(b"half")
    found = latest(tmp_path)
    assert found is not None
    assert found[1] == {"step": 3}
    checkpoint.save(tmp_path, 4, {"a": torch.zeros(2)}, {"step": 4})  # and is no hindrance
    assert latest(tmp_path)[1] == {"step": 4}  # type: ignore[index]  # just written


def test_a_crash_at_any_file_operation_of_a_checkpoint_loses_at_most_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The k-th file operation fails, for every k, and each fault is seen to fire."""
    fired = 0
    for k in range(1, 40):
        work = tmp_path / str(k)
        work.mkdir()
        for step in (1, 2):
            checkpoint.save(work, step, {"a": torch.full((2,), float(step))}, {"step": step})
        calls = 0

        def failing(call: Any, k: int = k) -> Any:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == k:
                    raise OSError(28, "No space left on device")
                return call(*args, **kwargs)

            return wrapper

        with monkeypatch.context() as patch:
            for owner, name in (
                (checkpoint, "save_file"),
                (checkpoint, "write_manifest"),
                (checkpoint, "sync_folder"),
                (Path, "mkdir"),
                (Path, "rename"),
                (Path, "write_text"),
                (checkpoint.shutil, "rmtree"),
            ):
                patch.setattr(owner, name, failing(getattr(owner, name)))
            try:
                checkpoint.save(work, 3, {"a": torch.full((2,), 3.0)}, {"step": 3})
            except OSError:
                fired += 1
        found = latest(work)
        assert found is not None, k
        tensors, state = found
        assert state["step"] in (2, 3), k
        assert tensors["a"].tolist() == [float(state["step"])] * 2, k
        if calls < k:
            break
    else:
        raise AssertionError("more operations than faults")
    assert fired >= 8
