"""Checkpoints that are not what was written: left out, by one line; the one before them, or the beginning, gives the same end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hft_core.training import checkpoint
from hft_core.training.loop import train

from .conftest import latest

FILES = ["tensors.safetensors", "state.json", "MANIFEST.json"]


def flipped(content: bytes, place: int, bit: int = 0) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def damaged(name: str, content: bytes) -> Iterator[bytes | None]:
    """What may have become of a file: nothing, a part of it, or one wrong bit, in every byte of a small file."""
    yield None
    yield from (b"", content[:1], content[: len(content) // 2], content[:-1], content + b"0", bytes(len(content)))
    whole = (
        len(content) if name == "MANIFEST.json" else min(len(content), 400)
    )  # safetensors: length, header, first data
    yield from (flipped(content, place, place % 8) for place in range(whole))
    yield from (flipped(content, place, 7) for place in (len(content) // 2, len(content) - 1))


@pytest.mark.parametrize("name", FILES)
def test_no_damage_to_any_file_goes_unnoticed(tmp_path: Path, name: str) -> None:
    for step in (4, 5):
        checkpoint.save(tmp_path, step, {"net/a": torch.full((3, 4), float(step))}, {"step": step, "losses": {}})
    file = tmp_path / "step-000000005" / name
    kept = tmp_path / "kept"
    shutil.copytree(file.parent, kept)
    seen = 0
    for content in damaged(name, file.read_bytes()):
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        said: list[str] = []
        found = latest(tmp_path, said.append)
        assert found is not None
        assert found[1]["step"] == 4, content
        assert torch.equal(found[0]["net/a"], torch.full((3, 4), 4.0))
        assert said == ["damaged checkpoint left out: step-000000005; step-000000004 is used"]
        assert not file.parent.exists(), "it would be kept in the place of a sound one"
        shutil.copytree(kept, file.parent)
        seen += 1
    assert seen > 25


def test_what_a_killed_process_had_not_finished_is_no_checkpoint(tmp_path: Path) -> None:
    said: list[str] = []
    for lost in ("unfinished", "step-000000009"):  # not yet renamed; and a folder without any file
        (tmp_path / lost).mkdir()
    assert latest(tmp_path, said.append) is None
    assert said == ["damaged checkpoint left out: step-000000009; the stage starts from its beginning"]
    checkpoint.save(tmp_path, 1, {"net/a": torch.ones(1)}, {"step": 1})
    assert latest(tmp_path, said.append) is not None
    assert len(said) == 1, "nothing is wrong any more"


# ---- a stage with such checkpoints ----


def job(bench: Any, make_rows: Any, work: Path) -> Any:
    """Six steps of a fresh model with dropout."""
    parts = (bench.objective("masked-lm"), make_rows(24))
    return bench.job(parts, work=work, start=None, epochs=2, batch_size=8, micro_batch=3, checkpoint_minutes=0)


@pytest.fixture(scope="module")
def unfinished(bert: Any, make_rows: Any, crashed: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Checkpoints of steps 3 and 4, and how the stage ends if nothing happens."""
    folder = tmp_path_factory.mktemp("unfinished")
    crashed(job(bert, make_rows, folder / "work"), 5)
    return folder / "work", train(job(bert, make_rows, folder / "whole"))


BOTH = ["step-000000003", "step-000000004"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "said_first"),
    [
        (BOTH[1:], ["damaged checkpoint left out: step-000000004; step-000000003 is used", "continuing at step 3 of 6"]),
        (BOTH[:1], ["continuing at step 4 of 6"]),
        (
            BOTH,
            [
                "damaged checkpoints left out: step-000000004, step-000000003; the stage starts from its beginning",
                "6 steps; first trying the longest batch and the first one",
            ],
        ),
    ],
    ids=["the newest", "the older one", "both"],
)  # fmt: skip
@pytest.mark.parametrize("name", FILES)
def test_a_stage_says_so_and_ends_as_ever(
    bert: Any, make_rows: Any, tmp_path: Path, unfinished: Any, name: str, lost: list[str], said_first: list[str]
) -> None:
    checkpoints, whole = unfinished
    shutil.copytree(checkpoints, tmp_path / "work")
    (tmp_path / "work" / "unfinished").mkdir()
    for folder in lost:
        file = tmp_path / "work" / folder / name
        file.write_bytes(flipped(file.read_bytes(), 100))
    made = job(bert, make_rows, tmp_path / "work")
    said: list[str] = []
    made.say = said.append
    result = train(made)
    assert said[: len(said_first)] == said_first
    assert result.history == whole.history
    ends = dict(result.net.named_parameters())
    assert all(torch.equal(tensor, ends[key]) for key, tensor in whole.net.named_parameters())


# ---- what is in them ----


def test_the_best_weights_outlive_their_checkpoint(
    bert: Any, make_rows: Any, tmp_path: Path, crashed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch is the first; the checkpoints of its time are gone when the stage is killed."""
    from hft_core.training import loop

    figures = iter([0.9] + [0.1] * 9)
    monkeypatch.setattr(loop, "score", lambda job, found: next(figures))
    part, settings = (bert.objective("classification"), make_rows(32)), {"validation": make_rows(20, seed=4)}

    def made(**more: Any) -> Any:
        return bert.job(part, work=tmp_path / "work", **settings, **more)

    crashed(made(epochs=5, checkpoint_minutes=0), 9)
    kept = sorted(folder.name for folder in (tmp_path / "work").iterdir())
    assert kept == ["step-000000007", "step-000000008"]
    result = train(made(epochs=5))
    assert result.best_step == 2
    shutil.rmtree(tmp_path / "work")
    monkeypatch.setattr(loop, "score", lambda job, found: 0.9)
    first = dict(train(made(epochs=1)).net.named_parameters())
    assert all(torch.equal(tensor, first[name]) for name, tensor in result.net.named_parameters())


@pytest.mark.parametrize("kind", ["lora", "freeze"])
def test_they_hold_only_what_is_trained(bert: Any, make_rows: Any, tmp_path: Path, crashed: Any, kind: str) -> None:
    from hft_plugins.techniques.freeze import Freeze
    from hft_plugins.techniques.lora import LoRA

    if kind == "lora":
        pytest.importorskip("peft", reason='needs peft; pip install "hft-core[lora]"')
    techniques: dict[str, list[Any]] = {
        "none": [],
        "lora": [LoRA(type="lora")],
        "freeze": [Freeze(type="freeze", parts=["embeddings", "layer"])],
    }
    sizes = {}
    for name in ("none", kind):
        part = (bert.objective("classification"), make_rows(48))
        crashed(bert.job(part, work=tmp_path / name, techniques=techniques[name], checkpoint_minutes=0), 3)
        file = tmp_path / name / "step-000000002" / "tensors.safetensors"
        sizes[name] = file.stat().st_size
    found = latest(tmp_path / kind)
    assert found is not None
    tensors = {key.removeprefix("net/") for key in found[0] if key.startswith("net/")}
    trained = {key for key in tensors if "head_main" in key or "lora_" in key}
    assert trained
    assert all(key.endswith(("position_ids", "token_type_ids")) for key in tensors - trained), tensors - trained
    assert sizes[kind] < 0.1 * sizes["none"]


def test_buffers_that_training_changes_are_in_them(bert: Any, make_rows: Any, survives: Any) -> None:
    """As the running statistics of batch normalisation."""
    from typing import Literal

    from hft_core import Technique

    class Counts(Technique):
        """Adds up a weight over the steps, in a buffer."""

        type: Literal["counts"]

        def prepare(self, net: Any, context: Any) -> None:
            net.register_buffer("total", torch.zeros(()))

        def after_step(self, net: Any, state: None, step: int) -> None:
            net.total += next(net.parameters()).detach().sum()

    def made(work: Path) -> Any:
        part = (bert.objective("classification"), make_rows(64))
        return bert.job(part, work=work, techniques=[Counts(type="counts")], checkpoint_minutes=0)

    assert float(survives(made, 3).net.total)
