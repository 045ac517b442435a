"""Numbers of distinct pieces of text between spaces, looked up for many texts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_WIDTH = 24
"""Bytes of a key: a piece of up to 23 in UTF-8, and one more than its length. Longer ones are looked up one by one."""
_PROBES = 4
"""Places at which a key is looked for."""
_MASKS = np.array(
    [[(1 << 8 * min(8, max(0, length - 8 * word))) - 1 for word in range(3)] for length in range(_WIDTH)], np.uint64
)
"""By length of a piece: what of its three words of 8 bytes belongs to it."""
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


class Numbering:
    """Gives each distinct piece a number.

    A dict would do. This one is a hash table in numpy, for tens of thousands of look-ups take most of the time of
    replacing words: keys are compared as they are, so no piece is taken for another.
    """

    def __init__(self, number: Callable[[str], int]):
        """Take what gives the number of a piece, counted from 0 in the order of their first appearance."""
        self._number = number
        self._keys = np.zeros((1 << 12, 3), np.uint64)
        self._slots = np.full(1 << 14, -1, np.int32)
        self._known = 0

    def of(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the numbers of all pieces, text by text, and how many there are of each text."""
        data = np.frombuffer((" ".join(texts) + " " * _WIDTH).encode("utf-8", "surrogatepass"), np.uint8)
        ends = np.flatnonzero(data[: len(data) - _WIDTH + 1] == ord(" "))
        starts = np.append(0, ends[:-1] + 1)
        lengths = ends - starts
        short = np.minimum(lengths, _WIDTH - 1)
        keys = sliding_window_view(data, _WIDTH)[starts].view(np.uint64)
        keys &= _MASKS[short]
        keys[:, 2] |= (short + 1 << 56).astype(np.uint64)
        numbers = self._found(keys)
        numbers[lengths >= _WIDTH] = -1
        new: list[int] = []
        rest = np.flatnonzero(numbers < 0)
        for at, start, end in zip(rest.tolist(), starts[rest].tolist(), ends[rest].tolist(), strict=True):
            number = numbers[at] = self._number(data[start:end].tobytes().decode("utf-8", "surrogatepass"))
            if number == self._known:
                self._known += 1
                new.append(at)
        self._add(numbers[new], keys[new], lengths[new] < _WIDTH)
        sizes = np.fromiter((text.count(" ") for text in texts), np.int64, len(texts)) + 1
        return numbers, sizes

    def _found(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Look all up; -1 for those that are not there."""
        places = self._places(keys)
        numbers = self._slots[places].astype(np.int64)
        numbers[~self._same(numbers, keys)] = -1
        for probe in range(1, _PROBES):
            rest = np.flatnonzero(numbers < 0)
            if not len(rest):
                break
            found = self._slots[(places[rest] + probe) & (len(self._slots) - 1)]
            same = self._same(found, keys[rest])
            numbers[rest[same]] = found[same]
        return numbers

    def _same(self, numbers: NDArray[np.integer], keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        equal = self._keys[numbers] == keys  # an empty slot has the last key, which no piece has
        return np.asarray(equal[:, 0] & equal[:, 1] & equal[:, 2])

    def _places(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Where each key is looked for first: the upper bits of a hash."""
        hashes = keys[:, 0] * _FACTORS[0] + keys[:, 1] * _FACTORS[1] + keys[:, 2] * _FACTORS[2]
        hashes = (hashes ^ (hashes >> np.uint64(32))) * _FACTORS[0]
        return np.asarray(hashes >> np.uint64(64 - self._slots.size.bit_length() + 1), np.int64)

    def _add(self, numbers: NDArray[np.int64], keys: NDArray[np.uint64], short: NDArray[np.bool_]) -> None:
        """Put new pieces into the table; one that finds no place is looked up one by one."""
        while self._known >= len(self._keys):
            self._grow()
        self._keys[numbers[short]] = keys[short]
        self._put(numbers[short])

    def _put(self, numbers: NDArray[np.int64]) -> None:
        slots = self._slots.data  # a memoryview: single values are faster there
        for number, place in zip(numbers.tolist(), self._places(self._keys[numbers]).tolist(), strict=True):
            for probe in range(_PROBES):
                at = (place + probe) & (len(slots) - 1)
                if slots[at] < 0:
                    slots[at] = number
                    break

    def _grow(self) -> None:
        """Make room for four times as many."""
        held = np.flatnonzero(self._keys.any(axis=1))
        self._keys = np.concatenate([self._keys, np.zeros((3 * len(self._keys), 3), np.uint64)])
        self._slots = np.full(4 * len(self._slots), -1, np.int32)
        self._put(held)
