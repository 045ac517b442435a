"""The objective `multi-label`: binary cross-entropy of each label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Facts, Loss, Objective, Ragged, RowRandom, Stream
from hft_core.runtime.text import tokens_of
from hft_plugins.text_classification.labels import Label, factors

if TYPE_CHECKING:
    import torch


class MultiLabel(Objective):
    """Binary cross-entropy of each of the task's labels: a row's loss is the mean over all labels."""

    type: Literal["multi-label"]
    positive_weights: Literal["balanced"] | dict[Label, Annotated[float, Field(gt=0)]] | None = None
    """Factor of a label's loss in the rows that have it: a mapping (labels left out have 1), or `balanced`, rows without
    it / rows with it, so that rare labels are found, at the price of false ones."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"positive_weights"})
    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad; `labels` float32 [rows, labels], 1 where a row has the label; with weights `weights`, the same shape."""
        sets = arrays["labels"]
        assert isinstance(sets, Ragged)
        batch = stream.preprocessor.pad(arrays)
        labels = np.zeros((len(sets), len(stream.facts["labels"])), np.float32)
        labels[np.repeat(np.arange(len(sets)), sets.lengths), sets.values] = 1
        batch["labels"] = labels
        if self.positive_weights is not None:
            batch["weights"] = np.where(labels == 1, _by_label(self.positive_weights, stream.facts), np.float32(1))
        return batch

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """Those of the texts, which nothing replaces."""
        return tokens_of(arrays, stream.preprocessor)

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count rows."""
        return len(batch["labels"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the rows' means of binary cross-entropy over the labels, each times its factor."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        inputs = {name: array for name, array in batch.items() if name not in ("labels", "weights")}
        outputs = net(**inputs)
        cells = binary_cross_entropy_with_logits(
            outputs["logits"].float(), batch["labels"], weight=batch.get("weights"), reduction="none"
        )
        return Loss(cells.mean(dim=1).sum(), outputs)


def _by_label(wanted: Literal["balanced"] | Mapping[str, float], facts: Facts) -> NDArray[np.float32]:
    """Give the factor of each label, float32 [labels], in the order of the label map."""
    if wanted == "balanced":
        counts = np.array(facts["counts"], np.float64)
        return np.asarray(np.maximum(facts["rows"] - counts, 1) / counts, np.float32)
    return factors(wanted, facts["labels"], "objective multi-label: `positive_weights`")
