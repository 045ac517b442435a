"""What a diagnosis says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong, or could be better."""

    name: str
    """Such as `learning-rate-too-high`; a word for machines."""
    where: str
    """The stage or the task that it is about."""
    evidence: str
    """What was seen, with its figures: one or two sentences, without any text of the data."""
    advice: str
    """What to do, in words."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """The same as new values by their paths in the recipe, such as ``{"stages.0.optimizer.lr": 5e-05}``; empty where no
    setting of the recipe helps."""

    def plain(self) -> dict[str, Any]:
        """Give it as plain JSON."""
        return {
            "name": self.name,
            "where": self.where,
            "evidence": self.evidence,
            "advice": self.advice,
            "changes": dict(self.changes),
        }
