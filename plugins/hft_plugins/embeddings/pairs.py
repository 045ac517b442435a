"""What objectives on pairs share: each text of a row is encoded, padded and embedded for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from hft_core import Arrays, Columns, Objective, RowRandom, Stream, TextEncoder
from hft_core.runtime.text import tokens_of

if TYPE_CHECKING:
    import torch

Forward = Callable[..., "dict[str, torch.Tensor]"]
ANCHOR = "anchor"
"""The side of the first text."""
_IDS = "_ids"
_FIRST = "input_ids"
"""The array with the first text's tokens, where the engine looks for unknown ones; those of other sides are `SIDE_ids`."""


class PairObjective(Objective):
    """Base of objectives whose rows are pairs. One entry per row; the sides are told apart by the names of their arrays."""

    needs_task: ClassVar[bool] = True

    def encoded(self, columns: Columns, stream: Stream, sides: Mapping[str, str]) -> Arrays:
        """Give the tokens of the texts in each side's column."""
        tokenizer = cast(TextEncoder, stream.preprocessor)
        return {
            _FIRST if side == ANCHOR else side + _IDS: tokenizer.encode(columns[column])["input_ids"]
            for side, column in sides.items()
        }

    def batch(self, arrays: Arrays, random: RowRandom, stream: Stream) -> dict[str, NDArray[Any]]:
        """Pad each side to its own longest text: a question is not padded to the length of its paragraph."""
        batch: dict[str, NDArray[Any]] = {}
        for name, array in arrays.items():
            if name.endswith(_IDS):
                side = ANCHOR if name == _FIRST else name.removesuffix(_IDS)
                padded = stream.preprocessor.pad({"input_ids": array})
                batch |= {f"{side}.{part}": value for part, value in padded.items()}
            else:
                batch[name] = cast("NDArray[Any]", array)
        return batch

    def tokens(self, arrays: Arrays, stream: Stream) -> NDArray[np.int64] | None:
        """Those of all texts, which nothing replaces."""
        found = [
            tokens_of({"input_ids": array}, stream.preprocessor)
            for name, array in arrays.items()
            if name.endswith(_IDS)
        ]
        known = [tokens for tokens in found if tokens is not None]
        return np.unique(np.concatenate(known)) if len(known) == len(found) else None

    def count(self, batch: Mapping[str, NDArray[Any]]) -> int:
        """Count rows."""
        return len(next(iter(batch.values())))

    def embedded(self, net: Forward, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give the vectors of each side, float [rows, width], and what else the batch has, unchanged."""
        sides: dict[str, dict[str, torch.Tensor]] = {}
        found: dict[str, torch.Tensor] = {}
        for name, array in batch.items():
            side, dot, part = name.partition(".")
            if dot:
                sides.setdefault(side, {})[part] = array
            else:
                found[name] = array
        return {side: net(**inputs)["embedding"] for side, inputs in sides.items()} | found
