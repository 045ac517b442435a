"""The objectives `cosent` and `cosine-mse`: cosines that follow the scores of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from hft_core import Arrays, Columns, Loss, Stream
from hft_plugins.embeddings.pairs import ANCHOR, Forward, PairObjective
from hft_plugins.embeddings.task import SentenceSimilarity

if TYPE_CHECKING:
    import torch


class ScoredPairs(PairObjective):
    """Base of objectives on scored pairs."""

    needs: ClassVar[frozenset[str]] = frozenset({"other_vector", "score"})

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """The tokens of both texts, and `score` float32, from 0 to 1."""
        task = stream.task
        assert isinstance(task, SentenceSimilarity)  # no other gives what it needs
        arrays = self.encoded(columns, stream, {ANCHOR: task.text, "other": task.other})
        scores = [truth["score"] for truth in task.truths(columns, stream.facts)]
        return arrays | {"score": np.array(scores, np.float32)}


class CoSent(ScoredPairs):
    """Brings cosines into the order of the scores, whatever their size (Su 2022, "CoSENT").

    Over all two rows of a step of which the first has the lower score: log(1 + Σ exp((cosine₁ - cosine₂) / temperature)).
    All rows of a step are compared with each other, whatever the micro-batches and processes.
    """

    type: Literal["cosent"]
    temperature: float = Field(default=0.05, gt=0)
    """What differences of cosines are divided by; a lower one looks harder at pairs that are in the wrong order."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"temperature"})
    couples: ClassVar[bool] = True

    def vectors(self, net: Forward, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give `anchor` and `other`, float [rows, width], and `score`, float [rows]."""
        return self.embedded(net, batch)

    def couple(self, vectors: Mapping[str, torch.Tensor]) -> Loss:
        """Give the step's loss times its rows; 0 where all rows have the same score."""
        import torch

        with torch.autocast(vectors["anchor"].device.type, enabled=False):
            cosine, score = _cosines(vectors), vectors["score"].detach()
            wrong = (cosine[:, None] - cosine[None]) / self.temperature
            lower = score[:, None] < score[None]
            ordered = wrong.masked_fill(~lower, -torch.inf).flatten()
            total = torch.cat([ordered.new_zeros(1), ordered]).logsumexp(0)
        return Loss(total * len(cosine))


class CosineMse(ScoredPairs):
    """Brings each pair's cosine to its score, from 0 to 1: the squared difference (Reimers & Gurevych 2019)."""

    type: Literal["cosine-mse"]

    def loss(self, net: Forward, batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the squared differences."""
        vectors = self.embedded(net, batch)
        return Loss((_cosines(vectors) - vectors["score"]).square().sum())


def _cosines(vectors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The cosine of each pair, float32 [rows]."""
    from torch.nn.functional import cosine_similarity

    return cosine_similarity(vectors["anchor"].float(), vectors["other"].float(), dim=-1)
