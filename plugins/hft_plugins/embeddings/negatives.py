"""The objective `in-batch-negatives`: each text has to find its partner among those of the whole step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Columns, Loss, Stream
from hft_plugins.embeddings.pairs import ANCHOR, Forward, PairObjective
from hft_plugins.embeddings.task import SentenceEmbedding

if TYPE_CHECKING:
    import torch


class InBatchNegatives(PairObjective):
    """Finds each text's partner among those of the step: cross-entropy over cosines (van den Oord et al. 2018).

    What the others of a step belong to, and all hard negatives of the step, are a text's negatives (Karpukhin et al. 2020;
    sentence-transformers calls it MultipleNegativesRankingLoss). Left out are those that are none: a text that the row, or
    another with the same first text, has as its partner, the text itself, and partners of rows with the same label.

    The whole step counts, whatever the micro-batches and processes: vectors come first, without a graph, and each
    micro-batch runs again with the gradients of its vectors (Gao et al. 2021). So `batch_size` says how many negatives
    there are, and `micro_batch` what memory it takes.
    """

    type: Literal["in-batch-negatives"]
    temperature: float = Field(default=0.05, gt=0)
    """What cosines are divided by; a lower one looks harder at near rivals."""
    symmetric: bool = False
    """Let each partner find its text, too; the loss is the mean of both. Hard negatives have no part in the way back."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"temperature", "symmetric"})
    needs: ClassVar[frozenset[str]] = frozenset({"positive_vector"})
    couples: ClassVar[bool] = True

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """The tokens of each text, and a number for each text and label by which equal ones are known."""
        task = stream.task
        assert isinstance(task, SentenceEmbedding)  # no other gives what it needs
        sides = {ANCHOR: task.text, "positive": task.positive}
        if task.negative is not None:
            sides["negative"] = task.negative
        arrays = self.encoded(columns, stream, sides)
        for side, column in sides.items():
            arrays[f"{side}_key"] = keys(columns[column])
        if task.label is not None:
            arrays["label_key"] = keys(columns[task.label])
        return arrays

    def vectors(self, net: Forward, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give `anchor`, `positive` and perhaps `negative`, float [rows, width], and the keys, int64 [rows]."""
        return self.embedded(net, batch)

    def couple(self, vectors: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the cross-entropy of each row's partner; a row without a negative adds 0."""
        import torch
        from torch.nn.functional import cross_entropy, normalize

        sides = [name for name in ("anchor", "positive", "negative") if name in vectors]
        with torch.autocast(vectors["anchor"].device.type, enabled=False):  # cosines over a temperature need float32
            unit = {side: normalize(vectors[side].float(), dim=-1) for side in sides}
            own = torch.arange(len(unit["anchor"]), device=unit["anchor"].device)
            barred = no_negatives(vectors)
            others = torch.cat([unit[side] for side in sides[1:]])
            scores = (unit["anchor"] @ others.T / self.temperature).masked_fill(barred, -torch.inf)
            total = cross_entropy(scores, own, reduction="sum")
            if self.symmetric:
                back = scores[:, : len(own)].T
                total = (total + cross_entropy(back, own, reduction="sum")) / 2
        return Loss(total)


def no_negatives(vectors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Say which texts are no negatives of which row, bool [rows, rows + hard negatives]; a row's own partner is not barred.

    What is barred for one side is so for the other: two rows belong together, or do not.
    """
    import torch

    anchor, positive = vectors["anchor_key"], vectors["positive_key"]
    others = torch.cat([positive, vectors["negative_key"]]) if "negative_key" in vectors else positive
    # A row's partners are those of all rows with its first text, and a partner's texts those of all rows that share it.
    same_text = (anchor[:, None] == anchor[None]).float()
    partners = same_text @ (positive[:, None] == others[None]).float() > 0
    barred = partners | (anchor[:, None] == others[None])
    rows = len(anchor)
    if "label_key" in vectors:
        label = vectors["label_key"]
        barred[:, :rows] |= (label[:, None] == label[None]) & (label[:, None] != 0)
    barred[:, :rows].fill_diagonal_(False)
    return barred


def keys(values: Sequence[Any]) -> NDArray[np.int64]:
    """Give each value a number by which equal ones are known, int64; 0 for null."""
    return np.fromiter((0 if value is None else _key(str(value)) for value in values), np.int64, len(values))


def _key(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1
