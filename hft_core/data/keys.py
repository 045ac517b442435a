"""Hashes of rows, by which texts are found again in other splits without reading the rows once more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Columns, Roles
from hft_core.data.splitting import text_key
from hft_core.runtime.randomness import key_of

Keys = NDArray[np.uint64]
"""A hash of each row's texts."""


class RowKeys(NamedTuple):
    """Three hashes of each row of a split; 24 bytes a row."""

    text: Keys
    """Of its texts, without case and spacing, and of its inputs."""
    exact: Keys
    """Of its texts and inputs as they are."""
    target: Keys
    """Of what it says is right; 0 everywhere where there is no target."""


def target_text(value: object) -> str:
    """Give what is right of a row as it is compared: 1, "1" and " 1" are one label, and the order of keys says nothing."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return "" if value is None else str(value).strip()


def keys_of(batches: Iterable[Columns], roles: Roles) -> RowKeys:
    """Hash the rows of a split."""
    parts = [np.empty((0, 3), np.uint64)]
    for columns in batches:
        read = [columns[name] for name in (*roles.text, *roles.inputs)]
        targets = [columns[name] for name in roles.target if name in columns]
        found = [
            (
                text_key(columns, roles, index),
                key_of(*(repr(values[index]) for values in read)),
                key_of(*(target_text(values[index]) for values in targets)) if targets else 0,
            )
            for index in range(len(read[0]))
        ]
        parts.append(np.array(found, np.uint64).reshape(-1, 3))
    return RowKeys(*np.ascontiguousarray(np.concatenate(parts).T))


def text_keys(columns: Columns, roles: Roles) -> Keys:
    """Hash the texts of a batch of rows, as `RowKeys.text`."""
    rows = len(columns[roles.text[0]])
    return np.fromiter((text_key(columns, roles, index) for index in range(rows)), np.uint64, rows)
