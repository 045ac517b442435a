"""The objective `answer-span`: cross-entropy over the places where an answer begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hft_core import Arrays, Columns, DataError, Loss, Objective, RowRandom, Stream
from hft_core.runtime.text import tokens_of
from hft_plugins.question_answering.runtime import LOGITS
from hft_plugins.question_answering.task import UNLABELLED

if TYPE_CHECKING:
    import torch


class AnswerSpan(Objective):
    """Cross-entropy of the tokens with which the answer begins and ends, each over all tokens of a window.

    Of a window that does not hold the whole answer, the right one is the token that stands for no answer (Devlin et al.
    2019). Where several answers are right, the first one counts.
    """

    type: Literal["answer-span"]

    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"answer"})

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """The task's inputs and `labels`; the tokens' places have served their purpose then.

        Raises DataError where no answer fits into a window.
        """
        arrays = super().encode(columns, stream)
        if len(arrays["row"]) and (np.asarray(arrays["labels"]) == UNLABELLED).all():
            raise DataError(
                "objective answer-span: no answer fits into a window of the model; raise its `max_length`, or the task's "
                "`overlap`"
            )
        del arrays["offsets"]
        return arrays

    def remarks(self, arrays: Arrays, stream: Stream) -> list[str]:
        """Say how many answers no window holds, and how many can be learned but never given."""
        labels, rows = np.asarray(arrays["labels"]), np.asarray(arrays["row"])
        longest = getattr(stream.task, "max_answer_length", None)
        lost = len(np.unique(rows[labels[:, 0] == UNLABELLED]))
        long = 0 if longest is None else len(np.unique(rows[labels[:, 1] - labels[:, 0] >= longest]))
        remarks = []
        if lost:
            remarks.append(
                f"{lost} answers fit into no window and are not learned; raise the model's `max_length`, or the task's "
                "`overlap`"
            )
        if long:
            remarks.append(
                f"{long} answers are longer than {longest} tokens and can never be given; raise the task's "
                "`max_answer_length`"
            )
        return remarks

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad; `labels` int64 [rows, 2], the places of start and end in the padded row, -100 where there is nothing to learn."""
        batch = super().batch(arrays, random, stream)
        mask = batch["attention_mask"].astype(bool)
        moved = batch["labels"] + mask.argmax(axis=1)[:, None]  # padding may stand before the tokens
        batch["labels"] = np.where(batch["labels"] == UNLABELLED, UNLABELLED, moved)
        return batch

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """Those of the texts, which nothing replaces."""
        return tokens_of(arrays, stream.preprocessor)

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count starts and ends that are known."""
        return int((batch["labels"] != UNLABELLED).sum())

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the cross-entropy of starts and ends; `logits` float32 [rows, 2, tokens] are among the outputs."""
        import torch
        from torch.nn.functional import cross_entropy

        outputs = net(**{name: array for name, array in batch.items() if name != "labels"})
        logits = torch.stack([outputs[name].float() for name in LOGITS], dim=1)
        # Padding takes no part, so that a row's loss does not depend on its batch; finite, for techniques that subtract.
        logits = logits.masked_fill(batch["attention_mask"][:, None] == 0, torch.finfo(torch.float32).min)
        total = cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=UNLABELLED, reduction="sum")
        return Loss(total, {**outputs, "logits": logits})
