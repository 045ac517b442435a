"""One optimizer step moves the weights alike, however its 16 rows are cut: at once, in pieces, over two processes.

The trap is real: where each piece's mean is taken, or the trainer divides by the number of pieces although the model has
divided already (or the other way round), the gradient is off by the number of pieces or processes, and differently for
each head. transformers' Trainer was off by 4 with four pieces, and by 2 with two processes, for most heads of encoders.
Each objective here divides by its own count over the whole step: rows, hidden tokens, next tokens, tags, target tokens.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ..loading import module_at

SCRIPT = Path(__file__).with_name("one_step.py")
SHAPES = [
    "bert-classification",
    "bert-masked-lm",
    "bert-tagging",
    "gpt-classification",
    "gpt-causal-lm",
    "t5-seq2seq",
    "bert-joint",
    "bert-mixed",  # 16 rows of one stream and 6 of the other
    "bert-supervised-contrastive",
    "bert-contrastive",
    "bert-contrastive-joint",
    "bert-in-batch-negatives",
    "gpt-cosent",
]
Update = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def one_step(distribution: Any) -> Any:
    """The module of the script, with the distributions that it needs."""
    for name in ("hft-seq2seq", "hft-contrastive"):
        distribution(name)
    return module_at(SCRIPT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shapes")


@pytest.fixture(scope="module")
def prepared(one_step: Any, folder: Path) -> Callable[[str], None]:
    """Give ``prepared(name)``: makes the shape's start, without dropout, once."""
    return cache(lambda name: one_step.prepare(name, folder))


@pytest.fixture(scope="module")
def whole(one_step: Any, folder: Path, prepared: Callable[[str], None]) -> Callable[[str], Update]:
    """Give ``whole(name)``: the shape's update by 16 rows at once."""

    def made(name: str) -> Update:
        prepared(name)
        found: Update = one_step.update(one_step.job(name, folder, 16))
        return found

    return cache(made)


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def by_two_processes(
    request: pytest.FixtureRequest, folder: Path, prepared: Callable[[str], None]
) -> dict[str, Update]:
    """The updates by two processes of 8 rows each, with whole weights and with sharded ones."""
    for name in SHAPES:
        prepared(name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "STRATEGY": request.param,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # with the distributions
    }
    begun = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), "8", *SHAPES],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=240)[0] for process in begun]
    finally:
        for process in begun:
            process.kill()
    assert [process.returncode for process in begun] == [0, 0], "\n".join(said)
    return {name: load_file(folder / name / f"update-{request.param}.safetensors") for name in SHAPES}


def assert_same(found: Update, wanted: Update) -> None:
    """Within 1e-4 of the update's own scale."""
    assert set(found) == set(wanted)
    scale = max(float(change.abs().max()) for change in wanted.values())
    assert scale > 1e-3  # it moved, and far beyond the rounding of the weights
    for name, change in wanted.items():
        assert float((found[name] - change).abs().max()) <= 1e-4 * scale, name


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("micro_batch", [4, 5])
def test_pieces_change_nothing(
    one_step: Any, folder: Path, whole: Callable[[str], Update], name: str, micro_batch: int
) -> None:
    wanted = whole(name)
    made = one_step.job(name, folder, micro_batch)
    lengths = made.streams[0].order.index(0).lengths
    assert len(set(lengths.tolist())) > 1  # ragged: a mean per piece would weigh rows or tokens wrongly
    assert len(made.streams[0].micro_batches(0, micro_batch)) == 4
    assert_same(one_step.update(made), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_processes_change_nothing(
    by_two_processes: dict[str, Update], whole: Callable[[str], Update], name: str
) -> None:
    assert_same(by_two_processes[name], whole(name))


def test_cached_gradients_are_those_of_graphs_that_are_kept(
    one_step: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout: each piece's second pass draws what its first one drew."""
    one_step.prepare("bert-contrastive", tmp_path, dropout=0.2)
    made = one_step.job("bert-contrastive", tmp_path, 4)
    from hft_core.training.dropout import fast_masks

    objective = made.streams[0].objective
    vectors = type(objective).vectors
    passes: list[tuple[torch.Tensor, Any]] = []

    def recorded(self: Any, net: Any, batch: Any) -> Any:
        if torch.is_grad_enabled():
            passes.append((torch.get_rng_state(), batch))
        return vectors(self, net, batch)

    monkeypatch.setattr(type(objective), "vectors", recorded)
    found = one_step.update(made)
    pieces = passes[-4:]  # before them was the trial of the first and the longest batch
    assert [len(batch["input_ids"]) for _, batch in pieces] == [8, 8, 8, 8]  # four pairs each

    def kept(states: list[torch.Tensor]) -> Update:
        """The update of plain torch: one graph over all pieces."""
        net = made.model.build(made.start, made.preprocessor, made.heads).train()
        parts = []
        with fast_masks():
            for state, (_, batch) in zip(states, pieces, strict=True):
                torch.set_rng_state(state)
                parts.append(vectors(objective, partial(net, "main"), batch))
        whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        (objective.couple(whole).sum / one_step.BATCH).backward()
        return {
            name: torch.zeros_like(weight) if weight.grad is None else -one_step.RATE * weight.grad
            for name, weight in net.named_parameters()
        }

    assert_same(found, kept([state for state, _ in pieces]))
    with pytest.raises(AssertionError):  # other draws give another update, so the comparison can tell
        assert_same(found, kept([pieces[0][0]] * 4))


def test_a_loss_over_vectors_is_the_plain_loss(
    whole: Callable[[str], Update],
) -> None:
    assert_same(whole("bert-contrastive-plain"), whole("bert-contrastive"))
