"""Schedule: the learning rate over a stage."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field

from hft_core.components.base import Component


class Schedule(Component):
    """Base of schedules."""

    kind: ClassVar[str] = "schedule"

    warmup: float = Field(default=0.0, ge=0)
    """Steps of linear warm-up; below 1 a share of the stage's steps."""

    @abstractmethod
    def decay(self, progress: float) -> float:
        """Factor after warm-up; `progress` goes from 0 to 1."""

    def factor(self, step: int, steps: int) -> float:
        """Factor of the peak learning rate at `step`, counted from 0, of `steps`."""
        warmup = round(self.warmup * steps) if self.warmup < 1 else int(self.warmup)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return self.decay((step - warmup) / max(1, steps - warmup))
