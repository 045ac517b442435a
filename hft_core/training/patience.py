"""What validations without a better figure lead to: a lower rate (plateau), and the stage's end (early stopping)."""

from __future__ import annotations

import math
from typing import Any

from hft_core.recipe.model import Stage


class Patience:
    """The best figure so far, and how many validations have passed since."""

    def __init__(self, stage: Stage):
        self._stopping, self._plateau = stage.early_stopping, stage.plateau
        self.best = -math.inf
        """The best figure, greater being better."""
        self.step: int | None = None
        """The step that it was reached at; None before the first figure."""
        self.factor = 1.0
        """What the plateau has left of the learning rate."""
        self._since_best = self._since_cut = 0

    def see(self, figure: float, step: int) -> bool:
        """Take note of a validation; gives whether it is the best so far."""
        if figure > self.best:
            self.best, self.step = figure, step
            self._since_best = self._since_cut = 0
            return True
        self._since_best += 1
        self._since_cut += 1
        if self._plateau is not None and self._since_cut >= self._plateau.patience:
            self.factor *= self._plateau.factor
            self._since_cut = 0
        return False

    @property
    def ended(self) -> bool:
        """Whether the stage is to end early."""
        return self._stopping is not None and self._since_best >= self._stopping

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint has to hold, as plain JSON."""
        best = self.best if math.isfinite(self.best) else None
        since = [self._since_best, self._since_cut]
        return {"best": best, "step": self.step, "factor": self.factor, "since": since}

    def load(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        self.best = -math.inf if state["best"] is None else state["best"]
        self.step, self.factor = state["step"], state["factor"]
        self._since_best, self._since_cut = state["since"]
