"""The objective `span-corruption`: write what was hidden in spans (Raffel et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Arrays, Columns, HeadSpec, Loss, Objective, PluginError, Ragged, RowRandom, Stream
from hft_core.runtime.ragged import take
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.transformers.lm import lm_loss, windows
from hft_plugins.transformers.seq2seq.spans import corrupted, draw
from hft_plugins.transformers.tokenizer.special import SENTINELS, sentinel

if TYPE_CHECKING:
    import torch


class SpanCorruption(Objective):
    """Write the spans that were hidden in a text, each behind the sentinel that stands for it; drawn anew in every epoch."""

    type: Literal["span-corruption"]
    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of tokens to hide."""
    span: float = Field(default=3.0, ge=1)
    """Mean length of what is hidden together, in tokens."""

    after_encoding: ClassVar[frozenset[str]] = frozenset({"rate", "span"})
    gives: ClassVar[frozenset[str]] = frozenset({"nll", "tokens"})
    head_type: ClassVar[str] = "seq2seq-lm"

    def head(self, stream: Stream) -> HeadSpec:
        """The model's output over the vocabulary. Raises PluginError for a tokenizer without sentinels or end."""
        _sentinels(stream)
        _end(stream)
        return HeadSpec(self.head_type, settle=0.1)

    def encode(self, columns: Columns, stream: Stream) -> Arrays:
        """Token ids of the texts, long ones in windows, without special tokens; texts of one token are left out."""
        arrays = windows(columns, stream)
        ids, rows = arrays["input_ids"], np.asarray(arrays["row"])
        assert isinstance(ids, Ragged)
        special = stream.preprocessor.settings()["special"]
        frame = [special[role] for role in ("pad", "bos", "eos", "cls", "sep") if role in special]
        kept = ~np.isin(ids.values, frame)
        offsets = np.append(0, np.cumsum(kept))[ids.offsets]
        bare: Arrays = {"input_ids": Ragged(ids.values[kept], offsets), "row": rows}
        return take(bare, np.flatnonzero(np.diff(offsets) >= 2))

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, Any]:
        """Hide spans: `input_ids` and `attention_mask`; `decoder_input_ids` int64 [rows, target]; and of the target's real
        tokens `positions` int64 [n], flat over it, and `targets` int64 [n]."""
        ids = arrays["input_ids"]
        assert isinstance(ids, Ragged)
        sentinels = _sentinels(stream)
        plain = ids.padded(0, dtype=np.int64)
        spans = draw(ids.lengths, plain.shape[1], self.rate, self.span, len(sentinels) - 1, random)
        inputs, targets = corrupted(plain, ids.lengths, spans, sentinels, _end(stream))
        batch = stream.preprocessor.pad({"input_ids": inputs})
        settings = stream.preprocessor.settings()
        start = np.full((len(targets), 1), settings["special"]["decoder_start"], np.int64)
        known = targets.padded(settings["pad_id"], dtype=np.int64)
        batch["decoder_input_ids"] = np.concatenate([start, known[:, :-1]], axis=1)
        batch["positions"] = np.flatnonzero(targets.mask())
        batch["targets"] = targets.values.astype(np.int64)
        return batch

    def count(self, batch: Mapping[str, Any]) -> int:
        """Count target tokens."""
        return len(batch["targets"])

    def loss(self, net: Callable[..., dict[str, torch.Tensor]], batch: Mapping[str, torch.Tensor]) -> Loss:
        """Sum the cross-entropy of the targets' tokens, each predicted from the true ones before it."""
        return lm_loss(net, batch)


def _sentinels(stream: Stream) -> NDArray[np.int64]:
    """Ids of the sentinels, in their order: at least two, for a target ends with one that nothing follows."""
    preprocessor = stream.preprocessor
    found = []
    if isinstance(preprocessor, TextPreprocessor):
        found = [preprocessor.tokenizer.token_to_id(sentinel(number)) for number in range(SENTINELS)]
    known = found.index(None) if None in found else len(found)
    if known < 2 or "decoder_start" not in preprocessor.settings().get("special", {}):
        raise PluginError(
            "span-corruption: the model or its tokenizer is not one of T5's kind: it has no tokens <extra_id_0>, "
            "<extra_id_1>, … to stand for what is hidden. Use the model `t5` with a T5, or a new tokenizer; or masked-lm "
            "for `bert`, causal-lm for `gpt`"
        )
    return np.array(found[:known], np.int64)


def _end(stream: Stream) -> int:
    special = stream.preprocessor.settings()["special"]
    if "eos" not in special:
        raise PluginError("span-corruption: the tokenizer has no token that ends a text (</s>); take a T5's tokenizer")
    return int(special["eos"])
