"""The objective `causal-lm`: predict the next token, documents packed into full blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from hft_core import Arrays, Columns, HeadSpec, Loss, Objective, Ragged, RowRandom, Stream
from hft_plugins.transformers.lm import lm_loss, windows

if TYPE_CHECKING:
    import torch


class CausalLM(Objective):
    """Predict each next token."""

    type: Literal["causal-lm"]
    block: int | None = Field(default=None, ge=8)
    """Tokens per training row; default: the preprocessor's longest input."""

    gives: ClassVar[frozenset[str]] = frozenset({"nll", "tokens"})

    def head(self, stream: Stream) -> HeadSpec:
        """A causal-LM head over the vocabulary; trained alone first where the weights bring none."""
        return HeadSpec("causal-lm", settle=0.1)

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """Pack texts, each closed by the end token where the tokenizer has one, into blocks; the last may be short."""
        settings = stream.preprocessor.settings()
        block = min(self.block or settings["max_length"], settings["max_length"])
        arrays = windows(columns, stream)
        ids, rows = arrays["input_ids"], np.asarray(arrays["row"])
        assert isinstance(ids, Ragged)
        values, row_of = ids.values, np.repeat(rows, ids.lengths)
        end = settings["special"].get("eos")
        if end is not None and len(rows):
            last = np.append(rows[1:] != rows[:-1], True)  # the last window of each text
            ends = ids.offsets[1:][last]
            values, row_of = np.insert(values, ends, end), np.insert(row_of, ends, rows[last])
        starts = np.arange(0, len(values), block)
        offsets = np.append(starts, len(values)).astype(np.int64)
        # A block counts as the row that its first token comes from.
        return {"input_ids": Ragged(values, offsets), "row": row_of[starts]}

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, Any]:
        """Pad; `positions` int64 [n], flat over the batch, are the tokens whose successor is the target."""
        batch = stream.preprocessor.pad({name: array for name, array in arrays.items() if name != "row"})
        mask = batch["attention_mask"].astype(bool)
        followed = np.zeros_like(mask)
        followed[:, :-1] = mask[:, :-1] & mask[:, 1:]
        batch["positions"] = np.flatnonzero(followed)
        batch["targets"] = batch["input_ids"].reshape(-1)[batch["positions"] + 1]
        return batch

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count predicted tokens."""
        return len(batch["targets"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the cross-entropy of next tokens."""
        return lm_loss(net, batch)
