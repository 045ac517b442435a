"""What the model `bag` reads: a text's character n-grams, hashed. Numpy and the standard library only."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.runtime.ragged import Arrays, Ragged


class HashedGrams:
    """Numbers of the character n-grams of a text, 1 to `buckets`; 0 is padding. No vocabulary, no whitespace assumed."""

    module = "hft_bag.preprocess"

    def __init__(self, buckets: int, longest: int, max_length: int):
        """`longest`: characters of the longest n-gram; `max_length`: n-grams of a text, the rest is cut."""
        self.buckets, self.longest, self.max_length = buckets, longest, max_length

    def settings(self) -> dict[str, Any]:
        """Give all that `load` needs: there are no files."""
        return {"buckets": self.buckets, "longest": self.longest, "max_length": self.max_length}

    def save(self, folder: Path) -> None:
        """Write nothing: the settings say all."""

    def encode(self, texts: Sequence[str]) -> Arrays:
        """Give ragged `grams` int32, one entry per text; the shortest n-grams of a text come first."""
        return {"grams": Ragged.from_rows([self._grams(" ".join(text.casefold().split())) for text in texts])}

    def pad(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Give int64 `grams` [rows, longest], 0 where a row has ended; other arrays pass unchanged."""
        return dict(arrays) | {"grams": arrays["grams"].padded(0, dtype=np.int64)}

    def _grams(self, text: str) -> list[int]:
        found = [text[i : i + n] for n in range(1, self.longest + 1) for i in range(len(text) - n + 1)]
        return [zlib.crc32(gram.encode()) % self.buckets + 1 for gram in found[: self.max_length]]


def load(folder: Path, settings: Mapping[str, Any]) -> HashedGrams:
    """Restore a preprocessor from its `settings`."""
    return HashedGrams(**settings)
