"""Counter-based random numbers: a draw is a function of (seed, purpose, epoch, row), never of what was drawn before.

So an interrupted run, another number of workers or another batch gives the same order, masks and
variants. The generator is SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators") evaluated at arbitrary counters; NumPy's Philox serves where one long stream is wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def key_of(*parts: object) -> int:
    """Hash words and numbers to a 64-bit key, the same in every process."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def keys_of(texts: Sequence[str]) -> NDArray[np.int64]:
    """Give a key for each text, int64 [texts], for draws that depend on the text and not on where it stands."""
    return np.array([key_of(text) for text in texts], np.uint64).view(np.int64)


def generator(*parts: object) -> np.random.Generator:
    """Give a numpy generator for one purpose, such as ``generator(seed, "order", epoch)``."""
    return np.random.Generator(np.random.Philox(key_of(*parts)))


class RowRandom:
    """Random draws for the rows of a batch, each row's independent of the other rows in it."""

    def __init__(self, key: int, rows: NDArray[np.int64]):
        self._rows = _mixed(np.uint64(key) + rows.astype(np.uint64) * _GOLDEN)

    def __len__(self) -> int:
        return len(self._rows)

    def uniform(self, draws: int, purpose: int = 0) -> NDArray[np.float64]:
        """Give numbers in [0, 1), float64 [rows, draws]; another `purpose` gives other numbers."""
        counters = np.arange(1, draws + 1, dtype=np.uint64) + np.uint64(purpose << 32)
        return _fraction(_mixed(self._rows[:, None] + counters[None, :] * _GOLDEN))

    def flat(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the first ``counts[i]`` numbers of `uniform` for each row i, one row after the other: float64 [their sum]."""
        ends = np.cumsum(counts)
        counters = np.arange(1, int(counts.sum()) + 1) - np.repeat(ends - counts, counts)
        return _fraction(_mixed(np.repeat(self._rows, counts) + counters.astype(np.uint64) * _GOLDEN))

    def generator(self, index: int) -> np.random.Generator:
        """Give a numpy generator for one row of the batch: convenient, and slower than `uniform`."""
        return np.random.Generator(np.random.Philox(int(self._rows[index])))


def _fraction(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return np.asarray((bits >> np.uint64(11)) * (1.0 / (1 << 53)))


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64; unsigned arithmetic wraps around."""
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
