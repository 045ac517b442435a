"""The objective `classification`: cross-entropy over the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from hft_core import Arrays, Facts, Loss, Objective, RecipeError, RowRandom, Stream

if TYPE_CHECKING:
    import torch


def _as_label(key: Any) -> Any:
    """YAML reads the label `1` as a number; labels are texts."""
    return str(key) if isinstance(key, int | float) and not isinstance(key, bool) else key


Label = Annotated[str, BeforeValidator(_as_label)]


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

    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"label"})

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad; with class weights also `weights` float32 [rows]. Raises RecipeError for a label that there is not."""
        batch = super().batch(arrays, random, stream)
        if self.class_weights is not None:
            batch["weights"] = _by_label(self.class_weights, stream.facts)[batch["labels"]]
        return batch

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
                f"task does not count; give a mapping with the labels {_listed(labels)}"
            )
        counts = np.array(facts["counts"], np.float64)
        return np.asarray(counts.sum() / (len(counts) * counts), np.float32)
    if unknown := [label for label in wanted if label not in labels]:
        raise RecipeError(
            f"objective classification: `class_weights` has {unknown[0]!r}, which is no label; the labels are "
            f"{_listed(labels)}"
        )
    return np.array([wanted.get(label, 1.0) for label in labels], np.float32)


def _listed(labels: list[str]) -> str:
    return ", ".join(map(repr, labels[:20])) + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")
