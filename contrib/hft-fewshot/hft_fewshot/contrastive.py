"""The objective `contrastive-pairs`: texts of one label come together, those of different labels move apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Columns, Loss, Objective, RecipeError, RowRandom, Stream
from hft_core.runtime.text import tokens_of
from hft_fewshot.task import FewShotClassification

if TYPE_CHECKING:
    import torch


class ContrastivePairs(Objective):
    """Pulls embeddings of one label together and pushes those of different labels apart, pair by pair.

    In the manner of SetFit (Tunstall et al. 2022), which shows that an encoder of sentences needs a few rows of a task for
    that. Each row of a step draws `pairs` partners of its label and as many of other labels, so the number of pairs grows
    with the rows, not with their square, and rare labels are neither lost nor drowned. Where SetFit embeds both texts of each
    pair anew, here all pairs of a step are made of its rows, each of which is embedded once.

    A row's loss is the mean, over its partners p, of -log(exp(s(p)/T) / (exp(s(p)/T) + Σ exp(s(n)/T))), where s is the cosine
    with the row, T the temperature, and n runs over the partners of other labels (van den Oord et al. 2018; over labels,
    Khosla et al. 2020). A row that is alone with its label in a step only serves others, so `batch_size` should be several
    times the number of labels, or all rows where these are few.

    It trains the embedding of the task `few-shot-classification`; list the technique `fitted-head` for its labels.
    """

    type: Literal["contrastive-pairs"]
    pairs: int = Field(default=20, ge=1)
    """Partners of each sort that a row draws in a step; with replacement, where there are fewer."""
    temperature: float = Field(default=1.0, gt=0)
    """What cosines are divided by; a lower one looks harder at near rivals."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"pairs", "temperature"})
    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"label"})
    couples: ClassVar[bool] = True

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """Give the task's arrays and `labels`. Raises RecipeError for a task whose head gives no embedding."""
        if not isinstance(stream.task, FewShotClassification):
            found = stream.task.type_name() if stream.task else "none"
            raise RecipeError(
                f"objective contrastive-pairs: it trains the embedding of the task few-shot-classification, and the task is "
                f"{found}; change the task's type (for text-classification there is the side loss supervised-contrastive)"
            )
        return super().encode(columns, stream)

    def remarks(self, arrays: Arrays, stream: Stream) -> list[str]:
        """Name the labels that have one row, which has no partner of its own label."""
        counts = Counter(np.asarray(arrays["labels"]).tolist())
        labels = stream.facts["labels"]
        return [
            f"the label {labels[label]!r} has one row only: it is pushed away from others, and nothing is pulled towards it"
            for label in sorted(counts)
            if counts[label] == 1
        ]

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad; `draws` float32 [rows, 2 × pairs] in [0, 1) say which rows of the step become partners."""
        return super().batch(arrays, random, stream) | {"draws": random.uniform(2 * self.pairs).astype(np.float32)}

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """Those of the texts, which nothing replaces."""
        return tokens_of(arrays, stream.preprocessor)

    def count(self, batch: Mapping[str, NDArray[Any]]) -> int:
        """Count rows."""
        return len(batch["labels"])

    def vectors(
        self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Give `embedding` float [rows, width], and `labels` and `draws` as they are."""
        own = {name: batch[name] for name in ("labels", "draws")}
        inputs = {name: array for name, array in batch.items() if name not in own}
        return {"embedding": net(**inputs)["embedding"], **own}

    def couple(self, vectors: Mapping[str, torch.Tensor]) -> Loss:
        """Give the number of rows times the mean loss of those that have partners of both sorts; 0 where none has."""
        import torch
        from torch.nn.functional import normalize

        from hft_fewshot.pairs import draw_pairs

        with torch.autocast(vectors["embedding"].device.type, enabled=False):  # cosines over a temperature need float32
            embedding = normalize(vectors["embedding"].float(), dim=-1)
            rows, alike, unlike = draw_pairs(vectors["labels"], vectors["draws"].detach())
            if not len(rows):
                return Loss(embedding.sum() * 0)
            scores = embedding @ embedding.T / self.temperature
            near, far = scores[rows[:, None], alike], scores[rows[:, None], unlike]
            losses = torch.logaddexp(near, far.logsumexp(1, keepdim=True)) - near
            return Loss(losses.mean() * len(embedding))
