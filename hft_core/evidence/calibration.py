"""Whether scores say how often they are right: calibration error and proper scores.

The calibration error is that of Guo et al. 2017 (ICML; after Naeini et al. 2015): rows are put into 15 bins of equal width by
the score of what was predicted, and in each bin the mean score is compared with the share of right ones; the error is the
mean distance, weighted by rows. Few rows give an error by chance alone: how large it would be for a model that is calibrated
perfectly is drawn beside it, as in the consistency bars of Bröcker and Smith 2007. The Brier score is Brier's own of 1950:
squared distance of all probabilities from the truth, summed over the labels (0 to 2), of several labels a row their mean (0 to
1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Facts, Prediction
from hft_core.evidence.intervals import grouped, resampled
from hft_core.evidence.ranking import ranking
from hft_core.runtime.randomness import generator

BINS = 15
_SMALLEST = 1e-15
"""Probability that a logarithm is taken of at least."""
_DRAWS = 1000
_BY_ROW = 5_000
"""Rows up to which chance draws each of them; of more, the sum of each bin."""

Matrix = NDArray[np.float64]


def judged_scores(
    form: str | None, predictions: Sequence[Prediction], truths: Sequence[Prediction], facts: Facts,
    untuned: Sequence[Prediction] | None = None, seed: int = 0,
) -> dict[str, Any] | None:  # fmt: skip
    """Judge the scores of predictions with `label` or `labels`; plain JSON. None where there is nothing to judge.

    Args:
        form: what is predicted, see `Task.target_form`.
        untuned: the same rows' predictions before anything was tuned on validation, where they are others: `untuned` then
            has their calibration.
        seed: what is drawn at random is a function of this.
    """
    labels = [str(label) for label in facts.get("labels", ())]
    if form not in ("label", "labels") or not predictions or not labels:
        return None
    if any(list(found.get("scores", ())) != labels for found in predictions[:1]):
        return None
    true = _true(form, truths, labels)
    scores, found = _calibrated(form, predictions, truths, true, seed)
    return {
        "form": form,
        "rows": len(scores),
        "calibration": found,
        "untuned": _calibrated(form, untuned, truths, true, seed)[1] if untuned is not None else None,
        "ranking": ranking(scores, true, labels, seed),
    }


def _calibrated(
    form: str, predictions: Sequence[Prediction], truths: Sequence[Prediction], true: NDArray[np.bool_], seed: int
) -> tuple[Matrix, dict[str, Any]]:
    """The scores of all labels, [rows, labels], and how well they say how often they are right."""
    scores = np.array([list(found["scores"].values()) for found in predictions], np.float64)
    told = scores if form == "labels" else np.array([[found["score"]] for found in predictions], np.float64)
    right = true if form == "labels" else _right(predictions, truths)
    return scores, calibration(told, right, seed) | _proper(form, scores, true, seed)


def calibration(scores: Matrix, right: NDArray[np.bool_], seed: int = 0) -> dict[str, Any]:
    """Give `ece`, `by_chance` and the `bins` that they are made of.

    Args:
        scores: float [rows, answers], 0 to 1.
        right: [rows, answers].

    Returns:
        `by_chance`: what 95 of 100 models that are calibrated perfectly stay below on these rows. `bins`: those that have
        rows, each with its mean `score`, the share `right` and `rows`.
    """
    told, hit = scores.ravel(), right.ravel().astype(np.float64)
    place = np.clip(np.ceil(told * BINS).astype(np.int64) - 1, 0, BINS - 1)
    rows, sums, hits = (np.bincount(place, weights, BINS) for weights in (np.ones_like(told), told, hit))
    random = generator(seed, "calibration")
    if len(told) <= _BY_ROW:
        drawn = random.random((_DRAWS, len(told))) < told
        by_chance = drawn.astype(np.float64) @ np.eye(BINS)[place]
    else:
        spread = np.sqrt(np.bincount(place, told * (1 - told), BINS))
        by_chance = sums + spread * random.standard_normal((_DRAWS, BINS))
    errors = np.abs(by_chance - sums).sum(axis=1) / len(told)
    return {
        "ece": float(np.abs(hits - sums).sum() / len(told)),
        "by_chance": float(np.quantile(errors, 0.95)),
        "bins": [
            {"score": float(sums[one] / rows[one]), "right": float(hits[one] / rows[one]), "rows": int(rows[one])}
            for one in np.flatnonzero(rows)
        ],
    }


def _proper(form: str, scores: Matrix, true: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """Brier score and logarithmic loss with their intervals over rows."""
    squares = (scores - true) ** 2
    if form == "labels":
        brier = squares.mean(axis=1)
        loss = -np.log(np.clip(np.where(true, scores, 1 - scores), _SMALLEST, None)).mean(axis=1)
    else:
        brier = squares.sum(axis=1)
        loss = -np.log(np.clip((scores * true).sum(axis=1), _SMALLEST, None))
    statistics = np.stack([brier, loss, np.ones_like(brier)], axis=1)
    sums = resampled(grouped(statistics, seed), _DRAWS, generator(seed, "proper scores"))
    low, high = np.quantile(sums[:, :2] / sums[:, 2:], [0.025, 0.975], axis=0)
    return {
        name: {"value": float(values.mean()), "low": float(low[place]), "high": float(high[place])}
        for place, (name, values) in enumerate((("brier", brier), ("log_loss", loss)))
    }


def _true(form: str, truths: Sequence[Prediction], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which labels each row has, [rows, labels]."""
    places = {label: index for index, label in enumerate(labels)}
    true = np.zeros((len(truths), len(labels)), np.bool_)
    for row, truth in enumerate(truths):
        for label in truth["labels"] if form == "labels" else (truth["label"],):
            if str(label) in places:
                true[row, places[str(label)]] = True
    return true


def _right(predictions: Sequence[Prediction], truths: Sequence[Prediction]) -> NDArray[np.bool_]:
    return np.array(
        [[found["label"] == truth["label"]] for found, truth in zip(predictions, truths, strict=True)], np.bool_
    )
