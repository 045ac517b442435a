"""The objective `classification`: cross-entropy over the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Facts, Loss, Objective, RecipeError, RowRandom, Stream
from hft_core.runtime.text import tokens_of
from hft_plugins.text_classification.labels import Label, factors, listed

if TYPE_CHECKING:
    import torch


class Classification(Objective):
    """Cross-entropy of the task's labels.

    Class weights and focal loss change the sum of the rows' losses, not what it is divided by, which stays the number
    of rows: a row's share in the step depends on its own label, not on who else is in the batch.
    """

    type: Literal["classification"]
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over all labels (Szegedy et al. 2016)."""
    class_weights: Literal["balanced"] | dict[Label, Annotated[float, Field(gt=0)]] | None = None
    """Factor of a row's loss by its label: a mapping (labels left out have 1), or `balanced`, rows / (labels × rows of
    the label) in the training split, so that each label weighs the same in the sum (King & Zeng 2001)."""
    focal: float = Field(default=0.0, ge=0)
    """Gamma of the focal loss (Lin et al. 2017): each row's loss is multiplied by (1 - p)^gamma, where p is the
    probability of its label, so that rows that are right already count less. 0: plain cross-entropy."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "class_weights", "focal"})
    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"label"})

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad; with class weights also `weights` float32 [rows]. Raises RecipeError for a label that there is not."""
        batch = super().batch(arrays, random, stream)
        if self.class_weights is not None:
            batch["weights"] = _by_label(self.class_weights, stream.facts)[batch["labels"]]
        return batch

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """Those of the texts, which nothing replaces."""
        return tokens_of(arrays, stream.preprocessor)

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count rows."""
        return len(batch["labels"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the rows' cross-entropy, each times its factors."""
        from torch.nn.functional import cross_entropy

        inputs = {name: array for name, array in batch.items() if name not in ("labels", "weights")}
        outputs = net(**inputs)
        logits = outputs["logits"].float()
        labels = batch["labels"]
        rows = cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing)
        if self.focal:
            wrong = 1 - logits.softmax(-1).gather(-1, labels[:, None])[:, 0]
            # The power has no finite gradient at 0 for a gamma below 1.
            rows = rows * wrong.clamp(min=1e-7) ** self.focal
        if "weights" in batch:
            rows = rows * batch["weights"]
        return Loss(rows.sum(), outputs)


def _by_label(wanted: Literal["balanced"] | Mapping[str, float], facts: Facts) -> NDArray[np.float32]:
    """Give the factor of each label, float32 [labels], in the order of the label map."""
    labels: list[str] = facts["labels"]
    if wanted == "balanced":
        if "counts" not in facts:
            raise RecipeError(
                "objective classification: `class_weights: balanced` needs the number of rows of each label, which this "
                f"task does not count; give a mapping with the labels {listed(labels)}"
            )
        counts = np.array(facts["counts"], np.float64)
        return np.asarray(counts.sum() / (len(counts) * counts), np.float32)
    return factors(wanted, labels, "objective classification: `class_weights`")
