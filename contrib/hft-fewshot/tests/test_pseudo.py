"""The gate: which rows pass, with which label."""

from __future__ import annotations

import numpy as np
import pytest

from hft_fewshot.pseudo import passed

ODDS = np.array([[0.95, 0.05], [0.1, 0.9], [0.6, 0.4], [0.02, 0.98], [0.5, 0.5], [0.08, 0.92]], np.float32)


@pytest.mark.parametrize(
    ("minimum", "per_label", "rows", "classes"),
    [
        (0.9, None, [0, 1, 3, 5], [0, 1, 1, 1]),
        (0.9, 1, [0, 3], [0, 1]),
        (0.9, 2, [0, 3, 5], [0, 1, 1]),
        (0.96, None, [3], [1]),
        (0.99, None, [], []),
        (0.0, None, [0, 1, 2, 3, 4, 5], [0, 1, 0, 1, 0, 1]),
    ],
)
def test_those_that_are_sure_enough_pass(
    minimum: float, per_label: int | None, rows: list[int], classes: list[int]
) -> None:
    found, of = passed(ODDS, minimum, per_label)
    assert found.tolist() == rows
    # Where two labels are equally likely the first one stands, as in a prediction.
    assert of.tolist() == [0 if row == 4 else label for row, label in zip(rows, classes, strict=True)]


def test_the_surest_of_each_label_stay_even_among_equals() -> None:
    found, _ = passed(np.tile(np.array([[0.9, 0.1]], np.float32), (5, 1)), 0.5, 2)
    assert found.tolist() == [0, 1]
