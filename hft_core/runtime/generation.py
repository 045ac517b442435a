"""Greedy decoding: the most likely next token, again and again. Numpy only; `call` runs a graph with a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.errors import NonFiniteError
from hft_core.runtime.ragged import Ragged

Call = Callable[..., dict[str, Any]]
Ids = NDArray[np.int64]

_PIECE = 32
"""Prompt tokens in one call: logits over a vocabulary of 50 000 take 6 MB for these of one row."""


@dataclass(frozen=True)
class Written:
    """What generation wrote."""

    tokens: Ragged
    """Of each row, int64, without the token that ends it."""
    margin: NDArray[np.float64]
    """Of each row, how close it was to another text: the least distance of a best logit to the next, at any step."""


def left_padded(ids: Ids, mask: Ids) -> tuple[Ids, Ids]:
    """Move the tokens of each row to its end, where generation goes on; holes close. Both int64 [rows, length]."""
    order = np.argsort(mask.astype(bool), axis=1, kind="stable")
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(mask, order, axis=1)


def prefill(call: Call, ids: Ids, mask: Ids, graph: str = "model") -> Iterator[tuple[slice, dict[str, Any]]]:
    """Read left-padded prompts piece by piece; the last outputs are what `greedy` goes on from.

    Yields:
        the columns of `ids` that were read, and the graph's outputs for them: `logits` float [rows, columns,
        vocabulary], of the token after each, and `cache`.
    """
    outputs: dict[str, Any] = {"cache": None}
    for start in range(0, ids.shape[1], _PIECE):
        read = slice(start, min(start + _PIECE, ids.shape[1]))
        outputs = call(graph, cache=outputs["cache"], input_ids=ids[:, read], attention_mask=mask[:, : read.stop])
        yield read, outputs


def greedy(call: Call, outputs: dict[str, Any], mask: Ids, limit: int, ends: Ids, graph: str = "model") -> Written:
    """Go on from prompts; a row that has ended leaves the batch.

    Args:
        call: runs the graph: `input_ids` and `attention_mask` to `logits` and `cache`.
        outputs: what the graph gave for the prompts, or for the last piece of them, see `prefill`.
        mask: int64 [rows, length], 0 where a left-padded prompt has no token.
        limit: tokens to write at most, at least 1.
        ends: int64 [rows], the token that ends each row; -1 where there is none.

    Returns:
        What was written.

    Raises:
        NonFiniteError: a logit is infinite or not a number.
    """
    written = np.zeros((len(mask), limit), np.int64)
    lengths = np.zeros(len(mask), np.int64)
    margins = np.full(len(mask), np.inf)
    rows = np.arange(len(mask))  # those that are still being written
    for step in range(limit):
        logits = outputs["logits"][:, -1]
        if not np.isfinite(logits).all():
            raise NonFiniteError("the model's logits are not finite; its weights are unusable")
        second, best = np.partition(logits, -2, axis=-1)[:, -2:].T
        margins[rows] = np.minimum(margins[rows], best - second)
        following = logits.argmax(axis=-1)
        going = np.flatnonzero(following != ends[rows])
        rows, following, mask, cache = rows[going], following[going], mask[going], outputs["cache"]
        written[rows, step] = following
        lengths[rows] += 1
        if not len(rows) or step == limit - 1:
            break
        if len(going) < len(logits):
            cache = cache.take(going)
        mask = np.concatenate([mask, np.ones((len(rows), 1), mask.dtype)], axis=1)
        outputs = call(graph, cache=cache, input_ids=following[:, None], attention_mask=mask)
    return Written(Ragged.from_padded(written, np.arange(limit) < lengths[:, None]), margins)
