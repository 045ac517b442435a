from __future__ import annotations

import math

from hft_core.runtime.agreement import decision, drift, margin, same_decision


def test_a_decision_is_what_is_not_a_float() -> None:
    prediction = {"label": "好", "score": 0.5, "start": 3, "scores": {"a": 0.1}, "n_best": [{"text": "x"}]}
    assert decision(prediction) == {"label": "好", "start": 3, "scores": {}}


def test_labels_and_offsets_must_agree_unless_scores_tie() -> None:
    sure = {"label": "a", "scores": {"a": 0.9, "b": 0.1}}
    tie = {"label": "a", "scores": {"a": 0.50001, "b": 0.49999}}
    other = {"label": "b", "scores": {"a": 0.4, "b": 0.6}}
    assert same_decision(sure, sure)
    assert not same_decision(sure, other)
    assert same_decision(tie, other)
    assert not same_decision({"start": 1, "end": 2}, {"start": 1, "end": 3})


def test_margin() -> None:
    assert math.isclose(margin({"scores": [0.2, 0.7, 0.1]}), 0.5)
    assert margin({"label": "a"}) == math.inf


def test_drift_is_the_largest_difference_and_infinite_for_what_is_missing() -> None:
    assert math.isclose(drift({"a": 0.1, "b": [0.5, 0.2]}, {"a": 0.1, "b": [0.5, 0.25]}), 0.05)
    assert drift({"a": 0.1}, {}) == math.inf
    assert drift({"a": math.nan}, {"a": math.nan}) == math.inf
    assert drift([0.1], [0.1, 0.2]) == math.inf
    assert drift({"score": 0.5, "n_best": [0.1]}, {"score": 0.5, "n_best": []}) == 0


def test_drift_of_numbers_over_1_is_relative() -> None:
    assert math.isclose(drift({"nll": 700.0, "score": 0.5}, {"nll": 700.7, "score": 0.5}), 1e-3)
    assert math.isclose(drift(-200.0, -200.5), 2.5e-3)
    assert drift(math.inf, math.inf) == 0
    assert drift(math.inf, 5.0) == drift(-math.inf, math.inf) == drift(5.0, math.inf) == math.inf


def test_drift_of_a_vector_is_the_length_of_the_difference() -> None:
    """One by one, the numbers of a long vector may hardly move while the vector turns."""
    one, other = [0.1] * 100, [0.1] * 50 + [0.05] * 50
    assert math.isclose(drift({"vector": one}, {"vector": other}), math.sqrt(50) * 0.05)
    assert math.isclose(drift([30.0, 40.0], [30.0, 45.0]), 0.1), "of a longer one, as a share of its length"
    assert drift([0.1, 0.2], [0.1, math.nan]) == drift([0.1, 0.2], [0.1, None]) == math.inf
