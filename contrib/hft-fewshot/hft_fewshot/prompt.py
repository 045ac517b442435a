"""The objective `prompt`: cross-entropy over labels, by what a masked language model puts into the gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Columns, Loss, Objective, PluginError, RecipeError, RowRandom, Stream
from hft_fewshot.prompt_runtime import GAP, WORDS, UnfitError, gaps
from hft_fewshot.task import PromptClassification

if TYPE_CHECKING:
    import torch


class Prompt(Objective):
    """Cross-entropy of the labels' logits, which are those of their words in the gap (Schick & Schütze 2021, PET).

    List `masked-lm` on unlabelled text beside it for the auxiliary loss of the paper: both train the same kind of head, and
    each its own; weights that bring a masked-LM head give it to both.
    """

    type: Literal["prompt"]
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over all labels (Szegedy et al. 2016)."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"label_smoothing"})
    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"label"})
    head_type: ClassVar[str] = "masked-lm"

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """Give prompts with their labels. Raises RecipeError for verbalizers of different lengths, PluginError without a mask."""
        if not isinstance(stream.task, PromptClassification):
            found = stream.task.type_name() if stream.task else "none"
            raise RecipeError(f"objective prompt: it trains the task prompt-classification, and the task is {found}")
        if "mask" not in stream.preprocessor.settings().get("special", {}):
            raise PluginError(
                "task prompt-classification: the tokenizer has no mask token, so there is nothing to put into the gap; take a "
                "masked language model, such as one of `type: bert`, or the task few-shot-classification"
            )
        try:
            return super().encode(columns, stream)
        except UnfitError as error:
            raise RecipeError(f"task: {error}") from error

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad; `positions` int64 [rows × mask tokens], flat over the batch, are those of the mask tokens."""
        batch = super().batch(arrays, random, stream)
        width = batch["input_ids"].shape[1]
        places = gaps(batch)
        batch["positions"] = (np.arange(len(places))[:, None] * width + places).reshape(-1)
        return batch

    def count(self, batch: Mapping[str, NDArray[Any]]) -> int:
        """Count rows."""
        return len(batch["labels"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the rows' cross-entropy; `logits` float [rows, labels] are among its outputs."""
        from torch.nn.functional import cross_entropy

        outputs = net(**{name: array for name, array in batch.items() if name not in ("labels", GAP, WORDS)})
        rows, masks = batch[WORDS].shape[0], batch[WORDS].shape[-1]
        found = outputs["logits"].reshape(rows, masks, -1).float()  # of the mask tokens only, over the vocabulary
        logits = label_logits(found, batch[WORDS])
        total = cross_entropy(logits, batch["labels"], reduction="sum", label_smoothing=self.label_smoothing)
        return Loss(total, {"logits": logits})


def label_logits(found: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Give float [rows, labels] of logits [rows, masks, vocabulary] and the words' tokens int64 [rows, labels, words, masks].

    As `prompt_runtime.label_logits` does with numpy; -1 stands where a label has fewer words than another.
    """
    rows, labels, most, masks = words.shape
    flat = words.clamp(min=0).permute(0, 3, 1, 2).reshape(rows, masks, labels * most)
    of_words = found.gather(2, flat).sum(1).reshape(rows, labels, most)
    there = (words[..., 0] >= 0).to(of_words.dtype)
    return (of_words * there).sum(-1) / there.sum(-1)
