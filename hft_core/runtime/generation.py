"""Writing texts token by token: where it stands, and the choice of the next token. Numpy only; `call` runs a graph.

Greedy decoding and beam search (`beam.py`) write what transformers' `generate` writes, token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.errors import NonFiniteError
from hft_core.runtime.ragged import Ragged
from hft_core.runtime.randomness import RowRandom, key_of

Call = Callable[..., dict[str, Any]]
Ids = NDArray[np.int64]
Scores = NDArray[np.float64]

FAR = 1e9
"""The margin of a text that could not have been another: a number that JSON can carry."""
_PIECE = 32
"""Prompt tokens in one call: logits over a vocabulary of 50 000 take 6 MB for these of one row."""


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen, as a task's `decoding` says it; the default is the most likely one."""

    beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool = False
    sample: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Rules:
    """What the weights were trained to do whatever is likely: ids of tokens, or None."""

    first: int | None = None
    """The token that each text begins with, such as that of its language."""
    last: int | None = None
    """The token in the last place, where a text has not ended before."""
    never: int | None = None
    """A token that is never written."""

    def applied(self, scores: Scores, step: int, limit: int) -> Scores:
        """Give scores [rows, vocabulary] for the token of this step, counted from 0, out of `limit`."""
        forced = self.first if step == 0 and self.first is not None else self.last if step == limit - 1 else None
        if forced is not None:
            scores = np.full_like(scores, -np.inf)
            scores[:, forced] = 0.0
        elif self.never is not None:
            scores = scores.copy()
            scores[:, self.never] = -np.inf
        return scores


@dataclass
class State:
    """Where the writing of a batch of texts stands: the last outputs of the graph that writes."""

    call: Call
    graph: str
    tokens: str
    """The input that takes new tokens."""
    outputs: dict[str, Any]
    """`logits` float [rows, tokens, vocabulary] and `cache`."""
    mask: Ids
    """int64 [rows, length], 1 where the graph's `attention_mask` has a token."""
    grows: bool
    """Whether the mask is one of the text that is written, and not of another that was read before."""

    def scores(self) -> Scores:
        """Give the logits of the next token, float64 [rows, vocabulary]. Raises NonFiniteError for what is no number."""
        logits = self.outputs["logits"][:, -1]
        if not np.isfinite(logits).all():
            raise NonFiniteError("the model's logits are not finite; its weights are unusable")
        return np.asarray(logits, np.float64)

    def go_on(self, rows: Ids, tokens: Ids) -> None:
        """Write `tokens` int64 [n] behind the texts `rows`, which may leave some out, or name one several times."""
        cache, mask = self.outputs["cache"], self.mask
        if not np.array_equal(rows, np.arange(len(mask))):
            cache, mask = cache.take(rows), mask[rows]
        if self.grows:
            mask = np.concatenate([mask, np.ones((len(mask), 1), mask.dtype)], axis=1)
        self.mask = mask
        self.outputs = self.call(self.graph, cache=cache, attention_mask=mask, **{self.tokens: tokens[:, None]})

    def repeated(self, times: int) -> State:
        """Give the state with each text several times in a row; nothing is computed."""
        rows = np.repeat(np.arange(len(self.mask)), times)
        outputs = {"logits": self.outputs["logits"][rows, -1:], "cache": self.outputs["cache"].take(rows)}
        return State(self.call, self.graph, self.tokens, outputs, self.mask[rows], self.grows)


@dataclass(frozen=True)
class Written:
    """What generation wrote."""

    tokens: Ragged
    """Of each row, int64, without the token that ends it."""
    margin: NDArray[np.float64]
    """Of each row, how close it was to another text: the least distance between what was chosen and what was not, of
    logits (greedy), of log-probabilities (beams), or of the drawn number to its neighbour's part (sampling)."""


def left_padded(ids: Ids, mask: Ids) -> tuple[Ids, Ids]:
    """Move the tokens of each row to its end, where generation goes on; holes close. Both int64 [rows, length]."""
    order = np.argsort(mask.astype(bool), axis=1, kind="stable")
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(mask, order, axis=1)


def prefill(call: Call, ids: Ids, mask: Ids, graph: str = "model") -> Iterator[tuple[slice, State]]:
    """Read left-padded prompts piece by piece with a graph that also writes; the last state is what goes on.

    Yields:
        the columns of `ids` that were read, and the state, whose logits are those of the token after each of them.
    """
    cache = None
    for start in range(0, ids.shape[1], _PIECE):
        read = slice(start, min(start + _PIECE, ids.shape[1]))
        seen = mask[:, : read.stop]
        outputs = call(graph, cache=cache, input_ids=ids[:, read], attention_mask=seen)
        cache = outputs["cache"]
        yield read, State(call, graph, "input_ids", outputs, seen, grows=True)


def encoded(call: Call, arrays: Mapping[str, Any], start: Ids) -> State:
    """Read texts with the graph `encoder`, once, and begin to write with `decoder`.

    Args:
        arrays: `input_ids` and `attention_mask` int64 [rows, length], and what else the encoder takes.
        start: int64 [rows], the token that the decoder begins with.
    """
    cache = call("encoder", **arrays)["cache"]
    mask = arrays["attention_mask"]
    outputs = call("decoder", cache=cache, decoder_input_ids=start[:, None], attention_mask=mask)
    return State(call, "decoder", "decoder_input_ids", outputs, mask, grows=False)


def write(
    state: State, limit: int, ends: Ids, decoding: Decoding, rules: Rules = Rules(), keys: Ids | None = None
) -> Written:
    """Go on from where `state` stands.

    Args:
        limit: tokens to write at most, at least 1.
        ends: int64 [rows], the token that ends each row; -1 where there is none.
        keys: int64 [rows], for sampling: the draws of a row depend on its key and the seed only.

    Raises:
        NonFiniteError: a logit is infinite or not a number.
    """
    if decoding.beams > 1:
        from hft_core.runtime.beam import search

        return search(state, limit, ends, decoding, rules)
    rows = np.arange(len(ends))  # those that are still being written
    if decoding.sample:
        draws = RowRandom(key_of("sample", decoding.seed), rows if keys is None else keys).uniform(limit)
    written = np.zeros((len(ends), limit), np.int64)
    lengths = np.zeros(len(ends), np.int64)
    margins = np.full(len(ends), FAR)
    for step in range(limit):
        scores = rules.applied(state.scores(), step, limit)
        following, near = drawn(scores, draws[rows, step], decoding) if decoding.sample else likeliest(scores)
        margins[rows] = np.minimum(margins[rows], near)
        going = np.flatnonzero(following != ends[rows])
        rows, following = rows[going], following[going]
        written[rows, step] = following
        lengths[rows] += 1
        if not len(rows) or step == limit - 1:
            break
        state.go_on(going, following)
    return Written(Ragged.from_padded(written, np.arange(limit) < lengths[:, None]), margins)


def likeliest(scores: Scores) -> tuple[Ids, Scores]:
    """Give the best token of each row, and by how much it is better than the next."""
    second, best = np.partition(scores, -2, axis=-1)[:, -2:].T
    return scores.argmax(axis=-1), best - second


def drawn(scores: Scores, draws: Scores, decoding: Decoding) -> tuple[Ids, Scores]:
    """Give the token that each draw in [0, 1) falls on, and how far from the next part it fell.

    Scores are logits. What `kept` leaves out has no part.
    """
    scores = kept(scores, decoding)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    borders = np.cumsum(shares, axis=-1)
    borders /= borders[:, -1:]
    tokens = (borders <= draws[:, None]).sum(axis=-1)
    upper = np.take_along_axis(borders, tokens[:, None], axis=-1)[:, 0]
    lower = np.where(tokens > 0, np.take_along_axis(borders, np.maximum(tokens - 1, 0)[:, None], axis=-1)[:, 0], 0.0)
    return tokens, np.minimum(draws - lower, upper - draws)


def kept(scores: Scores, decoding: Decoding) -> Scores:
    """Give scores by temperature; -inf for tokens beyond the `top_k` best and for those behind the share `top_p`.

    These are the tokens that together have at least the share `top_p` of the probability, as few as possible, at least
    one (Holtzman et al. 2020).
    """
    scores = scores / decoding.temperature
    if decoding.top_k is not None and decoding.top_k < scores.shape[1]:
        least = np.partition(scores, -decoding.top_k, axis=-1)[:, -decoding.top_k, None]
        scores = np.where(scores < least, -np.inf, scores)
    if decoding.top_p is not None and decoding.top_p < 1:
        order = np.argsort(scores, axis=-1, kind="stable")
        upwards = np.take_along_axis(scores, order, axis=-1)
        shares = np.exp(upwards - upwards[:, -1:])
        below = np.cumsum(shares, axis=-1) / shares.sum(axis=-1, keepdims=True)
        drop = below <= 1 - decoding.top_p
        drop[:, -1] = False
        np.put_along_axis(scores, order, np.where(drop, -np.inf, upwards), axis=-1)
    return scores
