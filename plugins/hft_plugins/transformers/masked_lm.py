"""The objective `masked-lm`: predict hidden tokens (Devlin et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hft_core import Arrays, Columns, HeadSpec, Loss, Objective, PluginError, RowRandom, Stream
from hft_plugins.transformers.lm import lm_loss, text_encoder, windows
from hft_plugins.transformers.words import by_word, with_words

if TYPE_CHECKING:
    import torch


class MaskedLM(Objective):
    """Predict tokens that were hidden, drawn anew in every epoch."""

    type: Literal["masked-lm"]
    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of tokens to predict."""
    mask: float = Field(default=0.8, ge=0, le=1)
    """Share of those that become the mask token."""
    random: float = Field(default=0.1, ge=0, le=1)
    """Share of those that become a random token; the rest stays as it is."""

    whole_words: Literal["spaces"] | bool = False
    """Hide all pieces of a word together (so that none gives the others away), at the same rate. A word is a stretch of
    letters and digits. In scripts without spaces, such as Chinese, it is what is not cut further: with `wordpiece` a
    character, with `bpe` and `unigram` a piece. `spaces`: a word is what stands between spaces, for text that is
    segmented (`我们 喜欢 电影`)."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.mask + self.random > 1 + 1e-9:  # 0.7 + 0.2 + 0.1 is not 1 in binary
            raise ValueError(f"`mask` ({self.mask}) and `random` ({self.random}) are shares of one whole; lower one")
        return self

    after_encoding: ClassVar[frozenset[str]] = frozenset({"rate", "mask", "random"})
    gives: ClassVar[frozenset[str]] = frozenset({"nll", "tokens"})
    head_type: ClassVar[str] = "masked-lm"

    def head(self, stream: Stream) -> HeadSpec:
        """A masked-LM head over the vocabulary; trained alone first where the weights bring none."""
        if "mask" not in stream.preprocessor.settings().get("special", {}):
            raise PluginError("masked-lm: the tokenizer has no mask token; use causal-lm, or an encoder's tokenizer")
        return HeadSpec(self.head_type, settle=0.1)

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """Token ids of the texts, long ones in windows; with whole words also `words`, see `words.with_words`."""
        return (
            with_words(columns, stream, self.whole_words == "spaces") if self.whole_words else windows(columns, stream)
        )

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, Any]:
        """Hide tokens: `input_ids` with masks, `positions` int64 [n] flat over the batch, `targets` int64 [n]."""
        settings = stream.preprocessor.settings()
        special: dict[str, int] = settings["special"]
        batch = stream.preprocessor.pad({name: array for name, array in arrays.items() if name != "row"})
        ids = batch["input_ids"]
        width = ids.shape[1]
        maskable = (batch["attention_mask"] == 1) & ~np.isin(ids, list(special.values()))
        draws = random.uniform(width)
        if "words" in arrays:
            draws = by_word(draws, arrays["words"], stream)
        chosen = maskable & (draws < self.rate)
        fate = random.uniform(width, purpose=1)
        replacement = (random.uniform(width, purpose=2) * text_encoder(stream.preprocessor).vocabulary).astype(np.int64)
        hidden = np.where(fate < self.mask, special["mask"], np.where(fate < self.mask + self.random, replacement, ids))
        batch["positions"] = np.flatnonzero(chosen)
        batch["targets"] = ids.reshape(-1)[batch["positions"]]
        batch["input_ids"] = np.where(chosen, hidden, ids)
        return batch

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count hidden tokens."""
        return len(batch["targets"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the cross-entropy of hidden tokens."""
        return lm_loss(net, batch)
