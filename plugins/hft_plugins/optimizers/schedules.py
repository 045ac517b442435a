"""Learning-rate schedules; all of them may warm up."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from hft_core import Schedule


class Linear(Schedule):
    """Down to zero in a straight line."""

    type: Literal["linear"]

    def decay(self, progress: float) -> float:
        """1 to 0."""
        return 1.0 - progress


class Cosine(Schedule):
    """Half a cosine down to `floor` (Loshchilov & Hutter 2017, without restarts)."""

    type: Literal["cosine"]
    floor: float = Field(default=0.0, ge=0, le=1)
    """Factor at the end."""

    def decay(self, progress: float) -> float:
        """1 to `floor`."""
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))


class Constant(Schedule):
    """The peak rate to the end."""

    type: Literal["constant"]

    def decay(self, progress: float) -> float:
        """Stay at 1."""
        return 1.0
