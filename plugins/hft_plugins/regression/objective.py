"""The objective `regression`: squared error, or Huber's loss, of the standardised number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Columns, Loss, Objective, RecipeError, Stream
from hft_core.runtime.text import tokens_of

if TYPE_CHECKING:
    import torch


class RegressionLoss(Objective):
    """Half the squared error of the task's numbers, in standard deviations of the training split, or Huber's loss."""

    type: Literal["regression"]
    huber: float | None = Field(default=None, gt=0)
    """From how many standard deviations on an error counts linearly and no longer by its square (Huber 1964), so that single
    numbers that are far off pull less, such as 1; default: squared throughout."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"huber"})
    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"score"})

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """The task's inputs and numbers. Raises RecipeError for a task whose targets are no numbers."""
        arrays = super().encode(columns, stream)
        if not np.issubdtype(getattr(arrays.get("labels"), "dtype", np.dtype("O")), np.floating):
            name = stream.task.type_name() if stream.task else "none"
            raise RecipeError(
                f"objective regression: the targets of the task {name} are no numbers; take its own objective"
            )
        return arrays

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """Those of the texts, which nothing replaces."""
        return tokens_of(arrays, stream.preprocessor)

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count rows."""
        return len(batch["labels"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the rows' losses."""
        from torch.nn.functional import huber_loss, mse_loss

        outputs = net(**{name: array for name, array in batch.items() if name != "labels"})
        found, wanted = outputs["logits"].float()[:, 0], batch["labels"]
        if self.huber is not None:
            return Loss(huber_loss(found, wanted, reduction="sum", delta=self.huber), outputs)
        return Loss(mse_loss(found, wanted, reduction="sum") / 2, outputs)
