"""Out of memory: the step is done again in smaller pieces, and the update is that of the whole batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hft_core import OutOfMemoryError
from hft_core.training.loop import train
from hft_plugins.techniques.ema import EMA
from hft_plugins.techniques.fgm import FGM
from hft_plugins.text_classification.objective import Classification

SAID = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    MemoryError(),
]  # fmt: skip


class Narrow(Classification):
    """Has memory for `fits` rows at a time once `healthy` losses were computed."""

    fits: int = 4
    healthy: int = 0

    def loss(self, net: Any, batch: Any) -> Any:
        """Raise where a machine would."""
        counted.append(len(batch["labels"]))
        found = super().loss(net, batch)  # part of the work is done when memory ends
        if len(counted) > self.healthy and counted[-1] > self.fits:
            raise errors[0]
        return found


counted: list[int] = []
errors: list[BaseException] = [SAID[0]]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    counted.clear()
    errors[0] = SAID[0]


def narrow(**settings: Any) -> Narrow:
    return Narrow.model_validate({"type": "classification", "data": "train", "task": "main"} | settings)


def equal(one: Any, other: Any) -> None:
    weights = dict(other.net.named_parameters())
    for name, tensor in one.net.named_parameters():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("error", SAID, ids=["cuda", "cpu", "python"])
@pytest.mark.parametrize("healthy", [0, 4], ids=["in the dry run", "at step 3"])
def test_the_same_step_is_done_again_in_halves(bert: Any, make_rows: Any, error: BaseException, healthy: int) -> None:
    errors[0] = error
    said: list[str] = []
    job = bert.job((narrow(healthy=healthy), make_rows(64)), epochs=2)
    job.say = said.append
    result = train(job)
    equal(result, train(bert.job((bert.objective("classification"), make_rows(64)), epochs=2)))
    assert counted[-1] == 4
    told = [text for text in said if "out of memory" in text]
    assert [text.rpartition("micro-batches of ")[2] for text in told] == ["8 rows", "4 rows"]
    assert f"at step {1 if not healthy else 3}" in told[0]
    assert any("memory did not suffice for 16 rows" in note and "pieces of 4" in note for note in result.notes)


def test_a_killed_run_goes_on_with_the_pieces_it_had(bert: Any, make_rows: Any, crashed: Any, tmp_path: Path) -> None:
    columns = make_rows(64)
    whole = train(bert.job((narrow(healthy=4), columns), epochs=2, work=tmp_path / "whole"))
    counted.clear()
    crashed(bert.job((narrow(healthy=4), columns), epochs=2, work=tmp_path / "work", checkpoint_minutes=0), 4)
    counted.clear()
    again = train(bert.job((bert.objective("classification"), columns), epochs=2, work=tmp_path / "work"))
    for name, tensor in again.net.named_parameters():
        assert torch.equal(tensor, dict(whole.net.named_parameters())[name])
    assert any("pieces of 4" in note for note in again.notes)


def test_one_row_too_many_ends_with_exit_code_6(bert: Any, make_rows: Any) -> None:
    with pytest.raises(OutOfMemoryError, match="a forward and backward pass of 1 row does not fit") as caught:
        train(bert.job((narrow(fits=0), make_rows(32))))
    assert caught.value.exit_code == 6


def test_another_error_is_not_taken_for_it(bert: Any, make_rows: Any) -> None:
    errors[0] = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        train(bert.job((narrow(), make_rows(32))))
    assert counted == [16], "it is not tried again"


def test_what_a_step_had_added_up_before_is_given_up(bert: Any, make_rows: Any) -> None:
    """Memory ends in the second piece of a step: the first one's gradient must not count twice."""
    columns = make_rows(64)
    result = train(bert.job((narrow(healthy=3), columns), micro_batch=8, epochs=2))
    assert counted[3:8] == [8, 4, 4, 4, 4], "after two passes of the dry run and one of the first step"
    equal(result, train(bert.job((bert.objective("classification"), columns), epochs=2)))


@pytest.mark.parametrize("healthy", [5, 6], ids=["in the second pass", "in the first"])
def test_a_technique_of_two_passes_begins_its_step_anew(bert: Any, make_rows: Any, healthy: int) -> None:
    """What it had hung into the net for the pass that failed is gone."""
    columns = make_rows(64)
    settings: dict[str, Any] = {"techniques": [FGM(type="fgm"), EMA(type="ema", decay=0.5)], "epochs": 2}
    result = train(bert.job((narrow(healthy=healthy), columns), **settings))
    assert counted[healthy : healthy + 2] == [16, 8], "that pass failed, and the step began with half of its rows"
    equal(result, train(bert.job((bert.objective("classification"), columns), **settings)))


def test_what_libraries_of_a_gpu_say_is_understood() -> None:
    from hft_core.training.memory import is_out_of_memory

    for said in (
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDNN_STATUS_ALLOC_FAILED",
    ):
        assert is_out_of_memory(RuntimeError(said))
    assert not is_out_of_memory(ValueError("out of memory"))
