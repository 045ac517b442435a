"""The objective `supervised-contrastive`: rows of one label come together, those of others move apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, HeadSpec, Loss, Objective, Stream
from hft_core.runtime.text import tokens_of

if TYPE_CHECKING:
    import torch


class SupervisedContrastive(Objective):
    """Pulls the vectors of rows with the same label together (Khosla et al. 2020; for texts, Gunel et al. 2021).

    A side loss, listed beside `{type: task}`, with a pass of its own per step. The vectors are of length 1. A row's loss
    is the mean, over the other rows of its label in the step, of -log(exp(sᵢⱼ / T) / Σₖ exp(sᵢₖ / T)), where s is the cosine,
    k runs over all other rows and T is the temperature; the step's loss is the mean over its rows. A row that is alone with
    its label has no loss and is not counted. All rows of a step are compared with each other, whatever the micro-batches
    and processes, so `batch_size` changes the loss: it should be some times the number of labels.

    A row's vector is what the backbone says of it, with nothing learned in between: a projection that is trained along
    could satisfy the loss by itself, and is thrown away in the end. What moves is the backbone, which the task's head reads.
    """

    type: Literal["supervised-contrastive"]
    temperature: float = Field(default=0.3, gt=0)
    """What cosines are divided by; a lower one looks harder at near rivals. Gunel et al. take 0.3, Khosla et al. 0.1."""
    pooling: Literal["mean", "first", "last"] = "mean"
    """Which of the backbone's last states are a row's vector: the mean over its tokens, or the state of its first
    (`[CLS]`, as Gunel et al. take) or last token."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"temperature", "pooling"})
    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"label"})
    own_head: ClassVar[bool] = True
    couples: ClassVar[bool] = True

    def head(self, stream: Stream) -> HeadSpec:
        """A pooling without weights."""
        return HeadSpec(f"{self.pooling}-pooled", factory=self._head)

    def _head(self, width: int) -> torch.nn.Module:
        from hft_plugins.text_classification.pooling import Pooled

        return Pooled(self.pooling)

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """Those of the texts, which nothing replaces."""
        return tokens_of(arrays, stream.preprocessor)

    def count(self, batch: Mapping[str, NDArray[Any]]) -> int:
        """Count rows; which of them are alone is known only of the whole step, where `couple` makes up for them."""
        return len(batch["labels"])

    def vectors(
        self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Give `embedding` float [rows, width] and `labels` int64 [rows]."""
        inputs = {name: array for name, array in batch.items() if name != "labels"}
        return {"embedding": net(**inputs)["embedding"], "labels": batch["labels"]}

    def couple(self, vectors: Mapping[str, torch.Tensor]) -> Loss:
        """Give the number of rows times the mean loss of those that are not alone with their label; 0 where all are."""
        import torch
        from torch.nn.functional import normalize

        labels = vectors["labels"]
        with torch.autocast(labels.device.type, enabled=False):  # cosines over a temperature need float32
            embedding = normalize(vectors["embedding"].float(), dim=-1)
            own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            scores = (embedding @ embedding.T / self.temperature).masked_fill(own, -torch.inf)
            alike = (labels[:, None] == labels[None]) & ~own
            counted = alike.any(1)
            if not counted.any():
                return Loss(embedding.sum() * 0)
            logs = scores.log_softmax(1).masked_fill(~alike, 0)
            rows = -logs.sum(1)[counted] / alike.sum(1)[counted]
            return Loss(rows.mean() * len(labels))
