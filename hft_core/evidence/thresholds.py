"""From which score on something is said: the threshold that is best on rows with known answers. Numpy only."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def best_threshold(scores: NDArray[Any], true: NDArray[np.bool_], goal: Literal["accuracy", "f1"]) -> float:
    """Give the threshold t for which `scores >= t` answers best.

    It lies half-way between two neighbouring scores, so that rounding does not change an answer; among equally good ones
    it is that nearest to 0.5. Sources: Yang 2001, "A study of thresholding strategies for text categorization" (SCut).

    Args:
        scores: float [rows], from 0 to 1.
        true: [rows], what would be right.
        goal: what counts: the share of right answers, or F1 of the positive ones.

    Returns 0.5 where there is no row, or, for `f1`, no positive one.
    """
    if not len(scores) or (goal == "f1" and not true.any()):
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ranked, hits = np.asarray(scores, np.float64)[order], np.append(0, np.cumsum(true[order]))
    said = np.arange(len(ranked) + 1)  # so many of the highest scores are answered with yes
    value = (
        2 * hits / (said + hits[-1])
        if goal == "f1"
        else (hits + (len(ranked) - said) - (hits[-1] - hits)) / len(ranked)
    )
    edges = np.concatenate([[1.0 + 1e-9], ranked, [0.0]])
    thresholds = (edges[:-1] + edges[1:]) / 2
    apart = np.append(True, ranked[1:] != ranked[:-1])  # equal scores have equal answers
    apart = np.append(apart, True)
    candidates = np.flatnonzero(apart & (value >= value[apart].max() - 1e-12))
    best = candidates[np.abs(thresholds[candidates] - 0.5).argmin()]
    return float(thresholds[best])
