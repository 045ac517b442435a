"""The technique `pseudo-labels`: rows without labels get those that the model of the stage before is sure of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Context, Loss, Preprocessor, Ragged, Reader, RecipeError, Rows, Technique
from hft_fewshot.passes import outputs_of

if TYPE_CHECKING:
    from hft_core import Net


@dataclass
class State:
    """The texts, and once the stage begins the labels of those that passed the gate."""

    head: str
    labels: tuple[str, ...]
    preprocessor: Preprocessor
    tokens: Ragged
    """Of all texts."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """`rows` int64 [n]: places among the texts, `classes` int64 [n]; empty until the labels are given."""


class PseudoLabels(Technique):
    """Trains on rows without labels too, with the labels that the stage's first model gives them (Lee 2013, "Pseudo-label").

    Before the first step the model, as an earlier stage left it, predicts every text; those with a probability of `minimum`
    and more keep that label for the stage. Each micro-batch then draws as many of them as it has rows of its own, and its
    loss becomes the objective's + `weight` × that of the drawn rows. It fits objectives with one label per row that read the
    text alone, such as `classification`. What passed is written beside the model, to `pseudo-labels.json`.
    """

    type: Literal["pseudo-labels"]
    data: Reader
    """Rows without labels: a reader, such as `{type: text, path: unlabelled.txt}`. The recipe's cleaners do not see them, and
    they are compared with no split, so they must hold no text of the test."""
    column: str = "text"
    """Column with their text."""
    minimum: float = Field(default=0.9, ge=0, le=1)
    """The probability from which on a label is taken."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of the drawn rows' loss."""
    per_label: int | None = Field(default=None, ge=1)
    """Most rows of each label, those with the highest probability: keeps what the model prefers from outgrowing the rest.
    Default: no limit."""

    def prepare(self, net: Net, context: Context) -> State:
        """Read and encode the texts. Raises RecipeError where there is no single head with labels, or a column is missing."""
        heads = {name: spec for name, spec in context.heads.items() if spec.labels}
        if len(heads) != 1:
            raise RecipeError(
                f"technique pseudo-labels: it needs one head with labels, and there are {', '.join(heads) or 'none'}; its tasks "
                "are text-classification, few-shot-classification and their like"
            )
        (head, spec), *_ = heads.items()
        encoder: Any = context.preprocessor
        return State(head, spec.labels, context.preprocessor, encoder.encode(self._texts())["input_ids"])

    def _texts(self) -> list[str]:
        texts: list[str] = []
        for found in self.data.read():
            if isinstance(found, Rows):
                if self.column not in found.columns:
                    raise RecipeError(
                        f"technique pseudo-labels: its data has no column {self.column!r}, but {', '.join(found.columns)}; set "
                        "`column:`"
                    )
                texts += [text for text in found.columns[self.column] if isinstance(text, str) and text.strip()]
        if not texts:
            raise RecipeError("technique pseudo-labels: its data has no text; leave the technique out, or give it rows")
        return texts

    def before_step(self, net: Net, state: State, step: int) -> None:
        """Give the labels before the first step. Raises RecipeError where no stage has trained the head, or no row passes."""
        import torch

        if state.chosen:
            return
        if state.head in net.new_heads:
            raise RecipeError(
                "technique pseudo-labels: no stage before this one has trained the task, so its labels would be random; put a "
                "stage on the labelled rows before it"
            )
        logits = outputs_of(net, state.head, "logits", state.tokens, state.preprocessor)
        odds = torch.from_numpy(logits).softmax(-1).numpy()
        rows, classes = passed(odds, self.minimum, self.per_label)
        if not len(rows):
            raise RecipeError(
                f"technique pseudo-labels: none of {len(odds)} rows has a label with a probability of {self.minimum:g}; the "
                f"highest is {odds.max():.3f}. Lower `minimum`, or train the stage before for longer"
            )
        state.chosen = {"rows": torch.from_numpy(rows), "classes": torch.from_numpy(classes)}

    def loss(self, compute: Callable[..., Loss], batch: dict[str, Any], state: State) -> Loss:
        """Add the loss of as many rows with given labels; before the stage begins there are none."""
        import torch

        own = compute(batch)
        if not state.chosen:
            return own
        if "labels" not in batch:
            raise RecipeError(
                "technique pseudo-labels: an objective's batch has no `labels`; name in `on:` those of the task"
            )
        device, count = batch["labels"].device, len(batch["labels"])
        drawn = torch.randint(len(state.chosen["rows"]), (count,))  # torch is seeded by step and micro-batch
        rows, classes = (state.chosen[name][drawn] for name in ("rows", "classes"))
        padded = state.preprocessor.pad({"input_ids": state.tokens.take(rows.numpy())})
        others = {name: torch.from_numpy(array).to(device) for name, array in padded.items()}
        given = compute(others | {"labels": classes.to(device)})
        return Loss(own.sum + self.weight * given.sum, own.outputs)

    def save(self, net: Net, state: State, folder: Path) -> None:
        """Write how many rows got which label."""
        counts = Counter(state.labels[label] for label in state.chosen.get("classes", []))
        found = {
            "read": len(state.tokens),
            "minimum": self.minimum,
            "labels": {label: counts[label] for label in state.labels},
        }
        (folder / "pseudo-labels.json").write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n", "utf-8")

    def tensors(self, state: State) -> dict[str, Any]:
        """Give the labels: a resumed stage goes on with these, not with those of its present model."""
        return dict(state.chosen)

    def load(self, state: State, tensors: dict[str, Any]) -> None:
        """Take them back."""
        state.chosen = {name: tensor.cpu() for name, tensor in tensors.items()}


def passed(
    odds: NDArray[np.float32], minimum: float, per_label: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the rows of probabilities [rows, labels] that pass the gate, in order, and their classes, int64 [n] each."""
    classes, sure = odds.argmax(axis=1), odds.max(axis=1)
    best_first = np.argsort(-sure, kind="stable")
    best_first = best_first[sure[best_first] >= minimum]
    if per_label is not None:
        own = [best_first[classes[best_first] == label][:per_label] for label in range(odds.shape[1])]
        best_first = np.concatenate(own)
    rows = np.sort(best_first)
    return rows, classes[rows]
