"""Checkpoints of an unfinished stage: whole, checksummed, the last two kept.

Everything random is a function of the step (see order and streams), so weights, optimizer, techniques
and the step are all there is to save. Tensors go to safetensors; nothing is pickled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from hft_core.store.store import damage, sync_folder, write_manifest

_KEPT = 2


def save(work: Path, step: int, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Write the checkpoint of `step` aside, sync it, rename it into place; older ones but one are removed."""
    aside = work / "unfinished"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, aside / "tensors.safetensors"
    )
    (aside / "state.json").write_text(json.dumps(state), encoding="utf-8")
    write_manifest(aside)
    sync_folder(aside)
    place = work / f"step-{step:09d}"
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)
    sync_folder(work)
    for old in sorted(work.glob("step-*"))[:-_KEPT]:
        shutil.rmtree(old)


def newest(work: Path, say: Callable[[str], None]) -> Path | None:
    """Find the newest undamaged checkpoint, None where there is none.

    Damaged ones are removed; one line to `say` names them, and what the stage goes on from instead.
    """
    found, lost = None, []
    for folder in sorted(work.glob("step-*"), reverse=True):
        if damage(folder) is None:
            found = folder
            break
        lost.append(folder.name)
        shutil.rmtree(folder, ignore_errors=True)
    if lost:
        instead = f"{found.name} is used" if found else "the stage starts from its beginning"
        say(f"damaged checkpoint{'s' * (len(lost) > 1)} left out: {', '.join(lost)}; {instead}")
    return found


def read(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Give tensors and state of a checkpoint."""
    return load_file(folder / "tensors.safetensors"), json.loads((folder / "state.json").read_text("utf-8"))


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split an optimizer's state into named tensors and plain values."""
    named: dict[str, torch.Tensor] = {}
    plain: dict[str, Any] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            (named if isinstance(value, torch.Tensor) else plain)[f"optimizer/{index}/{name}"] = value
    return named, plain


def load_optimizer(optimizer: torch.optim.Optimizer, named: dict[str, torch.Tensor], plain: dict[str, Any]) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**named, **plain}.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/", 2)
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
