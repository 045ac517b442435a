"""The objective `classification`: cross-entropy over the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import Loss, Objective

if TYPE_CHECKING:
    import torch


class Classification(Objective):
    """Cross-entropy of the task's labels."""

    type: Literal["classification"]
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over all labels (Szegedy et al. 2016)."""

    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"label"})

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count rows."""
        return len(batch["labels"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the rows' cross-entropy."""
        from torch.nn.functional import cross_entropy

        inputs = {name: array for name, array in batch.items() if name != "labels"}
        outputs = net(**inputs)
        logits = outputs["logits"].float()
        total = cross_entropy(logits, batch["labels"], reduction="sum", label_smoothing=self.label_smoothing)
        return Loss(total, outputs)
