"""The objective `rewrite`: cross-entropy of the target's tokens, each predicted from the true ones before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from hft_core import Arrays, Columns, Loss, Objective, Ragged, RowRandom, Stream, TextEncoder

if TYPE_CHECKING:
    import torch

_IGNORED = -100
"""The label of padding: torch's cross-entropy leaves it out."""


class Rewrite(Objective):
    """Predict each token of the target."""

    type: Literal["rewrite"]

    needs_task: ClassVar[bool] = True

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """The task's inputs, and ragged `labels`: the target's tokens with the end token."""
        assert stream.task is not None  # needs_task
        arrays = stream.task.encode(columns, stream.preprocessor, stream.facts)
        [target] = stream.roles.target
        tokenizer = cast(TextEncoder, stream.preprocessor)
        return arrays | {"labels": tokenizer.encode(columns[target])["input_ids"]}

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad; `labels` int64 [rows, target] with -100, and `decoder_input_ids`: the same moved on by the start token."""
        labels = arrays["labels"]
        assert isinstance(labels, Ragged)
        batch = stream.preprocessor.pad({"input_ids": arrays["input_ids"]})
        batch["labels"] = labels.padded(_IGNORED, dtype=np.int64)
        start = np.asarray(arrays["start"])[:, None]
        known = labels.padded(stream.preprocessor.settings()["pad_id"], dtype=np.int64)
        batch["decoder_input_ids"] = np.concatenate([start, known[:, :-1]], axis=1)
        return batch

    def count(self, batch: Mapping[str, NDArray[Any]]) -> int:
        """Count target tokens."""
        return int((batch["labels"] != _IGNORED).sum())

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the cross-entropy of the target's tokens."""
        from torch.nn.functional import cross_entropy

        outputs = net(**{name: array for name, array in batch.items() if name != "labels"})
        logits = outputs["logits"].flatten(0, 1).float()
        total = cross_entropy(logits, batch["labels"].flatten(), ignore_index=_IGNORED, reduction="sum")
        return Loss(total, outputs)
