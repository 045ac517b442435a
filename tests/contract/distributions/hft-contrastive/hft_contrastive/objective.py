"""The objectives `contrastive` and `contrastive-plain`: each anchor has to find its positive among those of the step.

InfoNCE with in-batch negatives (van den Oord et al. 2018; Karpukhin et al. 2020), on cosine similarities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Columns, Loss, Objective, RowRandom, Stream, TextEncoder
from hft_core.runtime.ragged import concatenated

if TYPE_CHECKING:
    import torch

Forward = Callable[..., "dict[str, torch.Tensor]"]


class PairObjective(Objective):
    """What both forms share: rows are pairs, and all rows of a step are each other's negatives."""

    temperature: float = Field(default=0.05, gt=0)
    """What similarities are divided by; a lower one looks harder at near rivals."""

    needs_task: ClassVar[bool] = True
    couples: ClassVar[bool] = True

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """One entry per pair: `input_ids` of the anchor, `positive_ids` of the positive."""
        tokenizer = cast(TextEncoder, stream.preprocessor)
        anchors, positives = (tokenizer.encode(columns[name])["input_ids"] for name in stream.roles.text)
        rows = np.arange(len(anchors), dtype=np.int64)
        return {"input_ids": anchors, "positive_ids": positives, "row": rows}

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad anchors and positives together: twice as many rows, anchors first."""
        both: list[Arrays] = [{"input_ids": arrays[name]} for name in ("input_ids", "positive_ids")]
        return stream.preprocessor.pad(concatenated(both))

    def count(self, batch: Mapping[str, NDArray[Any]]) -> int:
        """Count pairs."""
        return len(batch["input_ids"]) // 2


def embedded(net: Forward, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give `anchor` and `positive`, each float [pairs, size]."""
    anchor, positive = net(**batch)["embedding"].chunk(2)
    return {"anchor": anchor, "positive": positive}


def info_nce(vectors: Mapping[str, torch.Tensor], temperature: float) -> Loss:
    """Sum the cross-entropy of each anchor's own positive among all of them."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    anchor, positive = (normalize(vectors[name].float(), dim=-1) for name in ("anchor", "positive"))
    similarity = anchor @ positive.T / temperature
    own = torch.arange(len(anchor), device=similarity.device)
    return Loss(cross_entropy(similarity, own, reduction="sum"))


class Contrastive(PairObjective):
    """Find each anchor's positive among those of the whole step, however small the micro-batches."""

    type: Literal["contrastive"]

    def vectors(self, net: Forward, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Embed a micro-batch."""
        return embedded(net, batch)

    def couple(self, vectors: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the loss of the whole step."""
        return info_nce(vectors, self.temperature)


class ContrastivePlain(PairObjective):
    """The same computed in one piece: the step has to fit into memory, in one process."""

    type: Literal["contrastive-plain"]

    def loss(self, net: Forward, batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the loss of the whole step."""
        return info_nce(embedded(net, batch), self.temperature)
