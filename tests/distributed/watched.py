"""A plugin file: the technique `watched` writes down the rows of each step, and brings a process to its end as it is told.

The environment says what to do: WATCH_FOLDER, where the rows go (``rows-RANK.jsonl``), and WATCH_ACTION, such as ``stop 1 7``:
what (stop: SIGTERM, kill: SIGKILL, fail: an error in the data), in which process, behind which step. `memory 1 6`: the
objective `starving` finds no memory in process 1, once, in its sixth pass.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any, Literal

from hft_core import DataError, Objective, Technique, hookimpl
from hft_plugins.text_classification.contrastive import SupervisedContrastive

RANK = os.environ.get("RANK", "0")


class Watched(Technique):
    """Looks on."""

    type: Literal["watched"]

    def prepare(self, net: Any, context: Any) -> dict[str, Any]:
        return {"step": None, "steps": context.steps}

    def before_step(self, net: Any, state: dict[str, Any], step: int) -> None:
        state["step"] = step

    def loss(self, compute: Any, batch: dict[str, Any], state: dict[str, Any]) -> Any:
        if state["step"] is not None and "WATCH_FOLDER" in os.environ:  # not the trial before the first step
            ids, mask = batch["input_ids"].tolist(), batch["attention_mask"].tolist()
            rows = [[token for token, there in zip(*row, strict=True) if there] for row in zip(ids, mask, strict=True)]
            with (Path(os.environ["WATCH_FOLDER"]) / f"rows-{RANK}.jsonl").open("a") as stream:
                stream.write(json.dumps([state["steps"], state["step"], rows]) + "\n")
        return compute(batch)

    def after_step(self, net: Any, state: dict[str, Any], step: int) -> None:
        what, who, when = os.environ.get("WATCH_ACTION", "nothing 0 0").split()
        if (who, when) != (RANK, str(step)):
            return
        if what == "fail":
            raise DataError(f"the row behind step {step} is bad")
        if what != "nothing":
            os.kill(os.getpid(), {"stop": signal.SIGTERM, "kill": signal.SIGKILL}[what])


class Starving(SupervisedContrastive):
    """A loss that couples the rows of all processes, and runs out of memory in one of them."""

    type: Literal["starving"]

    def vectors(self, net: Any, batch: Any) -> Any:
        import torch

        global _passes
        _passes += 1
        if os.environ.get("WATCH_ACTION") == f"memory {RANK} {_passes}":
            raise torch.OutOfMemoryError("out of memory, for a test")
        return super().vectors(net, batch)


_passes = 0


@hookimpl
def register_objectives() -> list[type[Objective]]:
    return [Starving]


@hookimpl
def register_techniques() -> list[type[Technique]]:
    return [Watched]
