"""Every technique and optimizer does with sharded weights in two processes what it does in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("cases.py")
sys.path.insert(0, str(SCRIPT.parent))
from cases import CASES  # noqa: E402  # a script beside this file, that pytest's import mode does not see

sys.path.pop(0)


def carry_out(folder: Path, strategy: str, count: int) -> None:
    """All cases, one after the other, in the same processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)] if count > 1 else []
    ended = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(folder), strategy, *CASES],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HFT_STORE": str(folder / f"store-{strategy}")},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]


@pytest.fixture(scope="module")
def weights(make_module_project: Any) -> Any:
    """Give ``weights(run)``: those of the base or of ``CASE-STRATEGY``."""
    project = make_module_project("techniques")
    project.recipe["stages"] = [{"stage": "finetune", "objectives": [{"type": "task", "data": "train"}], "epochs": 6,
                                 "optimizer": {"type": "adam", "lr": 1e-3}}]  # fmt: skip
    del project.recipe["data"]["corpus"]
    ended = project.carry_out(1, "--out", str(project.folder / "runs" / "base"))
    assert ended.codes == [0], ended.said
    carry_out(project.folder, "ddp", 1)
    carry_out(project.folder, "fsdp", 2)
    return lambda run: load_file(project.folder / "runs" / run / "model" / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_shards_change_nothing(weights: Any, name: str) -> None:
    base, alone, sharded = weights("base"), weights(f"{name}-ddp"), weights(f"{name}-fsdp")
    assert set(sharded) == set(alone)
    moved = norm({key: alone[key] - base[key] for key in base})
    assert moved > 0.01
    # Muon orthogonalises in bfloat16; orthogonalising each shard by itself would be off by about a half.
    bound = 0.1 if name == "muon" else 1e-4
    assert norm({key: sharded[key] - alone[key] for key in alone}) <= bound * moved


def norm(tensors: Any) -> float:
    return sum(float(tensor.double().square().sum()) for tensor in tensors.values()) ** 0.5
