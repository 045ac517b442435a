"""Setting rows of `train` aside for validation and test: by a hash of the text, within each stratum."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Columns, Roles, Task
from hft_core.runtime.randomness import key_of


def text_key(columns: Columns, roles: Roles, index: int) -> int:
    """Hash what a row gives the model; texts that differ only in case or whitespace count as the same."""
    texts = (" ".join(str(columns[name][index] or "").casefold().split()) for name in roles.text)
    return key_of(*texts, *(str(columns[name][index]) for name in roles.inputs))


Strata = Callable[[Columns], Sequence[str]]
"""Gives the stratum of each row of a batch."""


def strata_of(task: Task, read: Callable[[], Iterable[Columns]]) -> Strata | None:
    """Say what a split of rows (`read` yields them all) keeps in proportion; None: nothing.

    Each label; of several labels of a row the rarest one, so that a rare label does not vanish from the training split.
    """
    if task.target_form == "label":
        column = task.roles().target[0]
        return lambda columns: list(map(str, columns[column]))
    if task.target_form != "labels":
        return None
    facts = task.learn(read())
    counts = Counter(label for columns in read() for truth in task.truths(columns, facts) for label in truth["labels"])

    def rarest(columns: Columns) -> list[str]:
        sets = [truth["labels"] for truth in task.truths(columns, facts)]
        return [min(labels, key=lambda label: (counts[label], label), default="") for labels in sets]

    return rarest


def assign(
    batches: Iterable[Columns], roles: Roles, shares: Mapping[str, float], strata: Strata | None
) -> NDArray[np.uint8]:
    """Give the split of each row: 0 for `train`, 1… for those of `shares`, in their order.

    Copies of a text go to the same split, and so do rows that agree in `roles.group`. The choice depends on texts and
    labels only, so rows that are added later do not move the others much. With `strata` each of them is split on its own.
    """
    keys, numbers = _keys_and_strata(batches, roles, strata)
    texts, firsts, text_of, copies = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    stratum_of = numbers[firsts]  # a text with two labels belongs to the first
    split_of = np.zeros(len(texts), np.uint8)
    for stratum in np.unique(stratum_of):
        remaining = np.flatnonzero(stratum_of == stratum)[::-1]  # by hash, the largest first
        total = copies[remaining].sum()
        for number, share in enumerate(shares.values(), 1):
            before = np.cumsum(copies[remaining]) - copies[remaining]
            chosen = int(np.searchsorted(before, round(share * total)))  # until the share is reached
            split_of[remaining[:chosen]] = number
            remaining = remaining[chosen:]
    return split_of[text_of]


def _keys_and_strata(
    batches: Iterable[Columns], roles: Roles, strata: Strata | None
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Each row's hash, and the number of its stratum: 12 bytes a row."""
    numbers: dict[str, int] = {}
    together = Roles(text=roles.group) if roles.group else roles
    keys, found = array("Q"), array("i")
    for columns in batches:
        rows = range(len(columns[roles.text[0]]))
        keys.extend(text_key(columns, together, index) for index in rows)
        own = strata(columns) if strata else [""] * len(rows)
        found.extend(numbers.setdefault(stratum, len(numbers)) for stratum in own)
    return np.frombuffer(keys, np.uint64), np.frombuffer(found, np.int32)
