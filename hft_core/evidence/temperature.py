"""Temperature scaling: one number by which logits are divided, so that probabilities say how often they are right.

Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks (ICML 2017). The order of the
labels stays as it is. Numpy only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MINIMUM_ROWS = 100
"""Rows under which no temperature is fitted."""
MINIMUM_WRONG = 10
"""Wrong rows under which none is: they alone speak against an ever surer model."""
LOWEST, HIGHEST = 0.1, 10.0
_ROWS = 20_000
"""Rows that are looked at, evenly spaced; one number is known well by then."""


class Temperature(NamedTuple):
    """What logits are divided by."""

    value: float
    why: str = ""
    """Why it is left at 1; empty where it was fitted."""

    def facts(self) -> dict[str, Any]:
        """Give what a task keeps of it: `temperature`, and `uncalibrated` with the reason where it was not fitted."""
        return {"temperature": self.value} | ({"uncalibrated": self.why} if self.why else {})


def fitted_temperature(logits: NDArray[Any], true: NDArray[np.int64], rows: int | None = None) -> Temperature:
    """Give the temperature that makes the given labels likeliest: the smallest mean of -log softmax(logits / t)[true].

    It is left at 1 where the rows cannot tell it: fewer than 100, fewer than 10 of them wrong, or all of them best explained
    by one outside of 0.1 to 10.

    Args:
        logits: float [rows, labels]. Of a label that is there or not: two columns, 0 and its logit.
        true: [rows], the position of what is right.
        rows: how many rows of data these stand for, where each has several; default: all.
    """
    count = len(true)
    if (rows := count if rows is None else rows) < MINIMUM_ROWS:
        return Temperature(1.0, f"{rows} validation rows are fewer than {MINIMUM_ROWS}")
    wrong = int((np.asarray(logits).argmax(axis=1) != true).sum())
    if wrong < MINIMUM_WRONG:
        return Temperature(1.0, f"{wrong} of {count} answers on validation are wrong, fewer than {MINIMUM_WRONG}")
    chosen = np.arange(count) if count <= _ROWS else np.linspace(0, count - 1, _ROWS).astype(np.int64)
    values, right = np.asarray(logits, np.float64)[chosen], true[chosen]
    values = values - values.max(axis=1, keepdims=True)
    reached = values[np.arange(len(right)), right].mean()
    low, high = np.log(1 / HIGHEST), np.log(1 / LOWEST)
    if _slope(values, reached, np.exp(low)) >= 0:
        return Temperature(1.0, "the model's scores say nothing of these rows: the best temperature is above 10")
    if _slope(values, reached, np.exp(high)) <= 0:
        return Temperature(1.0, "the best temperature is below 0.1: the model is nearly always right")
    for _ in range(40):  # the loss is convex in the sharpness, so its slope has one zero
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(values, reached, np.exp(middle)) < 0 else (low, middle)
        if high - low < 1e-6:
            break
    return Temperature(float(np.exp(-(low + high) / 2)))


def _slope(values: NDArray[np.float64], reached: float, sharpness: float) -> float:
    """How the mean loss changes with the sharpness 1 / t: the expected logit less that of the right label."""
    odds = np.exp(values * sharpness)
    return float(((odds * values).sum(axis=1) / odds.sum(axis=1)).mean() - reached)
