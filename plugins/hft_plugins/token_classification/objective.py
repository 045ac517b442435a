"""The objective `tagging`: cross-entropy over the words' tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Arrays, Columns, Loss, Objective, Ragged, RowRandom, Stream
from hft_core.runtime.text import tokens_of
from hft_plugins.token_classification.task import UNLABELLED

if TYPE_CHECKING:
    import torch


class Tagging(Objective):
    """Cross-entropy of the tag of each word, at the word's first token."""

    type: Literal["tagging"]

    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"entities"})

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """The task's inputs and labels; the tokens' places have served their purpose then."""
        arrays = super().encode(columns, stream)
        del arrays["offsets"]
        return arrays

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad; `labels` int64 [rows, longest], -100 where there is nothing to learn."""
        labels = arrays["labels"]
        assert isinstance(labels, Ragged)
        batch = stream.preprocessor.pad(arrays)
        side = stream.preprocessor.settings()["padding_side"]
        batch["labels"] = labels.padded(UNLABELLED, side=side, dtype=np.int64)
        return batch

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """Those of the texts, which nothing replaces."""
        return tokens_of(arrays, stream.preprocessor)

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count labelled tokens."""
        return int((batch["labels"] != UNLABELLED).sum())

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the labelled tokens' cross-entropy."""
        from torch.nn.functional import cross_entropy

        outputs = net(**{name: array for name, array in batch.items() if name != "labels"})
        logits = outputs["logits"].flatten(0, 1).float()
        total = cross_entropy(logits, batch["labels"].flatten(), ignore_index=UNLABELLED, reduction="sum")
        return Loss(total, outputs)
