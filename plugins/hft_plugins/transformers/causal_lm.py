"""The objective `causal-lm`: predict the next token, of whole texts or of answers, packed into blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Columns, HeadSpec, Loss, Objective, Ragged, RecipeError, RowRandom, Stream
from hft_plugins.transformers.answers import TooLong, joined, packed
from hft_plugins.transformers.lm import lm_loss, windows

if TYPE_CHECKING:
    import torch


class CausalLM(Objective):
    """Predict each next token.

    Where the task has answers, a row is its prompt, as it is at predict time, and the answer, closed by the token that ends
    one; only the answer's tokens are learned, and blocks are made of whole rows.
    """

    type: Literal["causal-lm"]
    block: int | None = Field(default=None, ge=8)
    """Tokens per training row, at most the preprocessor's longest input (the model's `max_length`), which is the default."""

    boundaries: bool = True
    """Keep the documents in a block apart: no token sees another document's, and none is predicted from the end of the one
    before. `false`: a block is one text, as GPT-2 and others were trained."""
    prompts: bool = False
    """Where the task has answers: whether the prompts are learned, too."""
    too_long: TooLong = "fail"
    """What becomes of rows whose answer has more tokens than the task's `new_tokens`, or that do not fit into a block:
    `fail` stops, `skip` trains without them."""

    gives: ClassVar[frozenset[str]] = frozenset({"nll", "tokens"})
    head_type: ClassVar[str] = "causal-lm"

    def head(self, stream: Stream) -> HeadSpec:
        """A causal-LM head over the vocabulary; trained alone first where the weights bring none."""
        return HeadSpec(self.head_type, settle=0.1)

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """Pack texts, each closed by the end token where the tokenizer has one, into blocks; the last may be short.

        Raises RecipeError for a block that the model cannot read, DataError for answers that are too long.
        """
        settings = stream.preprocessor.settings()
        block = self.block or settings["max_length"]
        if block > settings["max_length"]:
            raise RecipeError(
                f"objective causal-lm: `block: {block}` is beyond the {settings['max_length']} tokens that the model takes at "
                "most; lower it, or raise the model's `max_length`"
            )
        if self.task is not None and stream.task is not None and stream.roles.target_texts:
            whole = joined(stream.task.encode(columns, stream.preprocessor, stream.facts), block, self.too_long)
            return packed(whole, block, self.prompts, self.boundaries)
        arrays = windows(columns, stream, texts=True)
        ids, rows, texts = arrays["input_ids"], np.asarray(arrays["row"]), np.asarray(arrays["text"])
        assert isinstance(ids, Ragged)
        values, row_of = ids.values, np.repeat(rows, ids.lengths)
        begins = np.zeros(len(values), bool)
        changes = np.append(True, texts[1:] != texts[:-1])[: len(texts)]  # the first window of each text
        begins[ids.offsets[:-1][changes]] = True
        end = settings["special"].get("eos")
        if end is not None and len(rows):
            last = np.append(changes[1:], True)
            ends = ids.offsets[1:][last]
            values, row_of = np.insert(values, ends, end), np.insert(row_of, ends, rows[last])
            begins = np.insert(begins, ends, False)
        starts = np.arange(0, len(values), block)
        offsets = np.append(starts, len(values)).astype(np.int64)
        # A block counts as the row that its first token comes from.
        blocks: Arrays = {"input_ids": Ragged(values, offsets), "row": row_of[starts]}
        return blocks | ({"begins": Ragged(begins, offsets)} if self.boundaries else {})

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, Any]:
        """Pad; `positions` int64 [n], flat over the batch, are the tokens whose successor is the target.

        With boundaries there is no mask: `position_ids` int64 [rows, width] begin again with each document, which tells
        models of the library to keep them apart. Padding is a document too.
        """
        batch = stream.preprocessor.pad({name: array for name, array in arrays.items() if name != "row"})
        mask = batch["attention_mask"].astype(bool)
        followed = np.zeros_like(mask)
        followed[:, :-1] = mask[:, :-1] & mask[:, 1:]
        if self.boundaries:
            del batch["attention_mask"]
            begins = _padded_begins(arrays["begins"], mask, stream)
            followed[:, :-1] &= ~begins[:, 1:]
            columns = np.arange(mask.shape[1])
            batch["position_ids"] = columns - np.maximum.accumulate(np.where(begins, columns, 0), axis=1)
        if "learned" in arrays:
            followed[:, :-1] &= _padded(arrays["learned"], mask, stream)[:, 1:]
        batch["positions"] = np.flatnonzero(followed)
        batch["targets"] = batch["input_ids"].reshape(-1)[batch["positions"] + 1]
        return batch

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count predicted tokens."""
        return len(batch["targets"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the cross-entropy of next tokens."""
        return lm_loss(net, batch)


def _padded_begins(begins: Any, mask: NDArray[np.bool_], stream: Stream) -> NDArray[np.bool_]:
    """Give where a document begins in a padded batch: at its first token, at the first of a block, and at padding."""
    padded = _padded(begins, mask, stream)
    padded[:, 0] = True
    padded[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    return padded


def _padded(flags: Any, mask: NDArray[np.bool_], stream: Stream) -> NDArray[np.bool_]:
    """Give flags of tokens in the shape of a padded batch, False at padding."""
    padded: NDArray[np.bool_] = flags.padded(False, mask.shape[1], side=stream.preprocessor.settings()["padding_side"])
    return padded
