"""Trying all stages of a recipe before the first one is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hft_core.errors import HftError
from hft_core.pipeline.steps.common import Folders, Process, write_json
from hft_core.pipeline.steps.stage import StageStep


@dataclass(frozen=True)
class TrialStep:
    """Sets up one stage after the other, each from what the recipe's model starts from; leaves trial.json with their steps."""

    stages: Sequence[tuple[str, StageStep]]
    """The stages of one seed, with their nodes' names."""

    def __call__(self, out: Path, inputs: Folders, process: Process) -> None:
        """Raise what a stage would raise before its first step, with the stage's name."""
        from hft_core.training.trial import try_stage

        steps = []
        for name, stage in self.stages:
            try:
                steps.append(try_stage(replace(stage, before=None).job(inputs, process)))
            except HftError as error:
                raise type(error)(f"{name}: {error}") from error
            process.say(f"{name} can begin: {steps[-1]} steps")
        write_json(out / "trial.json", {"steps": steps})
