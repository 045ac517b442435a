"""Beam search: of each text the best few beginnings are kept, and the best that ended is taken. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hft_core.runtime.generation import FAR, Decoding, Ids, Rules, Scores, State, Written
from hft_core.runtime.ragged import Ragged

_NONE = -1e9
"""The score of a beam that is none, as in transformers: worse than any, and still a number."""


@dataclass
class _Beams:
    """Beginnings of texts, the best first."""

    tokens: Ids
    """[rows, beams, limit]."""
    lengths: Ids
    """[rows, beams]."""
    scores: Scores
    """[rows, beams]."""

    def take(self, places: Ids) -> _Beams:
        """Give other beams of each row, places [rows, n]."""
        return _Beams(
            np.take_along_axis(self.tokens, places[:, :, None], axis=1),
            np.take_along_axis(self.lengths, places, axis=1),
            np.take_along_axis(self.scores, places, axis=1),
        )

    def rows(self, which: Ids | NDArray[np.bool_]) -> _Beams:
        """Give some of the rows."""
        return _Beams(self.tokens[which], self.lengths[which], self.scores[which])


def search(state: State, limit: int, ends: Ids, decoding: Decoding, rules: Rules) -> Written:
    """Write with `decoding.beams` beams; arguments, result and errors as those of `generation.write`.

    Scores are sums of log-probabilities; those of texts that ended are divided by length ** length_penalty, and a row is
    done where no running beam can be better any more by its score so far, or with `early_stopping` where there are as
    many ended texts as beams: the rules of transformers' `generate`, which are not quite those of the textbook.
    """
    beams, count = decoding.beams, len(ends)
    state = state.repeated(beams)
    rows = np.arange(count)  # those that are still being written
    running = _none(count, beams, limit)
    running.scores[:, 0] = 0.0  # all beams are the same at first: only one of them counts
    finished = _none(count, beams, limit)
    done = _none(count, beams, limit)
    margins = np.full(count, FAR)
    for step in range(limit):
        scores = rules.applied(_log_probabilities(state.scores()), step, limit).reshape(len(rows), beams, -1)
        totals = (scores + running.scores[:, :, None]).reshape(len(rows), -1)
        best = _top(totals, 2 * beams)
        parents, tokens = best // scores.shape[2], best % scores.shape[2]
        found = running.take(parents)
        found.tokens[:, :, step] = tokens
        found.scores = np.take_along_axis(totals, best, axis=1)
        stops = (tokens == ends[rows, None]) | (step == limit - 1)
        found.lengths = np.where(tokens == ends[rows, None], step, step + 1)

        ended = found.rows(np.arange(len(rows)))
        ended.scores = found.scores / (step + 1) ** decoding.length_penalty
        # Only the best few may end; what ends further down was not likely enough.
        ended.scores = np.where(stops & (np.arange(2 * beams) < beams), ended.scores, _NONE)
        finished = _best(_joined(finished, ended), beams)

        going = np.where(stops, _NONE, 0.0) + found.scores
        order = np.argsort(-going, axis=1, kind="stable")
        margins[rows] = np.minimum(margins[rows], _gap(np.take_along_axis(going, order, axis=1), beams))
        places = order[:, :beams]
        parents, tokens = np.take_along_axis(parents, places, axis=1), np.take_along_axis(tokens, places, axis=1)
        running = found.take(places)
        running.scores = np.take_along_axis(going, places, axis=1)

        full = (finished.scores > _NONE / 2).all(axis=1)
        worst = np.where(full, finished.scores[:, -1], _NONE)
        hopeful = running.scores[:, 0] / (step + 1) ** decoding.length_penalty > worst
        over = ~hopeful | (full if decoding.early_stopping else False) | (step == limit - 1)
        for name in ("tokens", "lengths", "scores"):
            getattr(done, name)[rows[over]] = getattr(finished, name)[over]
        if over.all():
            break
        on = np.flatnonzero(~over)
        origins = (on[:, None] * beams + parents[on]).reshape(-1)
        rows, running, finished = rows[on], running.rows(on), finished.rows(on)
        state.go_on(origins, tokens[on].reshape(-1))
    margins = np.minimum(margins, _gap(done.scores, 1))
    kept = np.arange(limit) < done.lengths[:, :1]
    return Written(Ragged.from_padded(done.tokens[:, 0], kept), margins)


def _none(rows: int, beams: int, limit: int) -> _Beams:
    return _Beams(
        np.zeros((rows, beams, limit), np.int64), np.zeros((rows, beams), np.int64), np.full((rows, beams), _NONE)
    )


def _joined(one: _Beams, two: _Beams) -> _Beams:
    return _Beams(
        np.concatenate([one.tokens, two.tokens], axis=1),
        np.concatenate([one.lengths, two.lengths], axis=1),
        np.concatenate([one.scores, two.scores], axis=1),
    )


def _best(beams: _Beams, count: int) -> _Beams:
    return beams.take(np.argsort(-beams.scores, axis=1, kind="stable")[:, :count])


def _top(totals: Scores, count: int) -> Ids:
    """Places of the highest scores of each row, the highest first; without sorting a whole vocabulary."""
    places = np.argpartition(-totals, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(totals, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)


def _gap(scores: Scores, kept: int) -> Scores:
    """By how much the last of those kept is better than the first that is not, scores best first; infinite where it is none."""
    last, next_one = scores[:, kept - 1], scores[:, kept]
    with np.errstate(invalid="ignore"):  # two that are impossible
        return np.where(last > _NONE / 2, last - next_one, np.inf)


def _log_probabilities(logits: Scores) -> Scores:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Scores = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
