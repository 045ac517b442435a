"""The objective `seq2seq`: predict each token of the target from the true ones before it (teacher forcing)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Columns, Loss, Objective, PluginError, Ragged, RowRandom, Stream
from hft_core.runtime.ragged import take
from hft_plugins.transformers.answers import TooLong, fitting
from hft_plugins.transformers.lm import lm_loss, text_encoder

if TYPE_CHECKING:
    import torch


class Seq2Seq(Objective):
    """Predict each token of the target from the text that is read and the true tokens before it."""

    type: Literal["seq2seq"]
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each target token's probability that is spread over the whole vocabulary (Szegedy et al. 2016); 0.1 is usual
    in translation."""

    too_long: TooLong = "fail"
    """What becomes of rows whose target has more tokens than the model can take (its `max_length`): `fail` stops, `skip`
    trains without them. A model that learned from targets that were cut would stop in the middle."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"label_smoothing"})
    needs_task: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"text"})
    head_type: ClassVar[str] = "seq2seq-lm"

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """The task's arrays, and ragged `labels`: the target's tokens with the end token.

        Raises PluginError for a tokenizer without a token that ends a text, DataError for targets that are too long.
        """
        assert stream.task is not None  # needs_task
        arrays = stream.task.encode(columns, stream.preprocessor, stream.facts)
        [target] = stream.roles.target
        labels = text_encoder(stream.preprocessor).targets.encode(columns[target])["input_ids"]
        assert isinstance(labels, Ragged)
        labels = _ended(labels, _end(stream))
        longest = stream.preprocessor.settings()["max_length"]
        fits = _whole(labels, columns[target], longest, stream)
        fitting(
            fits, self.too_long, f"a target of more than {longest} tokens, which the model takes at most",
            "raise `max_length:` of the model",
        )  # fmt: skip
        return take(arrays | {"labels": labels}, np.flatnonzero(fits))

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad: `input_ids`, `attention_mask`; `decoder_input_ids` int64 [rows, target], the labels moved on by the start
        token; and of the real labels `positions` int64 [n], flat over them, and `targets` int64 [n]."""
        labels = arrays["labels"]
        assert isinstance(labels, Ragged)
        batch = stream.preprocessor.pad({"input_ids": arrays["input_ids"]})
        known = labels.padded(stream.preprocessor.settings()["pad_id"], dtype=np.int64)
        batch["decoder_input_ids"] = np.concatenate([np.asarray(arrays["start"])[:, None], known[:, :-1]], axis=1)
        batch["positions"] = np.flatnonzero(labels.mask())
        batch["targets"] = labels.values.astype(np.int64)
        return batch

    def count(self, batch: Mapping[str, NDArray[Any]]) -> int:
        """Count target tokens."""
        return len(batch["targets"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the cross-entropy of the target's tokens."""
        return lm_loss(net, batch, self.label_smoothing)


def _whole(labels: Ragged, texts: list[str], longest: int, stream: Stream) -> NDArray[np.bool_]:
    """Which labels have all tokens of their texts."""
    fits = labels.lengths <= longest
    special = set(stream.preprocessor.settings()["special"].values())
    full = np.flatnonzero(labels.lengths >= longest).tolist()  # shorter ones were not cut
    bare = text_encoder(stream.preprocessor).targets.bare([texts[place] for place in full])
    for place, ids in zip(full, bare, strict=True):
        fits[place] &= len(_plain(ids, special)) == len(_plain(labels[place].tolist(), special))
    return fits


def _plain(ids: list[int], special: set[int]) -> list[int]:
    return [id for id in ids if id not in special]


def _end(stream: Stream) -> int:
    special = stream.preprocessor.settings().get("special", {})
    if "eos" not in special:
        raise PluginError(
            "seq2seq: the tokenizer has no token that ends a text (</s>), so a model cannot learn to stop; take the "
            "tokenizer of an encoder-decoder"
        )
    return int(special["eos"])


def _ended(labels: Ragged, end: int) -> Ragged:
    """Put the end token behind the rows that do not have it."""
    last = labels.values[np.maximum(labels.offsets[1:] - 1, 0)]
    without = np.flatnonzero((last != end) | (labels.lengths == 0))
    extra = np.zeros(len(labels), np.int64)
    extra[without] = 1
    offsets = labels.offsets + np.append(0, np.cumsum(extra))
    return Ragged(np.insert(labels.values, labels.offsets[1:][without], end), offsets)
