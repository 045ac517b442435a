"""Drift of lengths and labels: by hand, and told from chance."""

from __future__ import annotations

import random

import pytest

from hft_core.evidence.drift import drift


def test_by_hand() -> None:
    trained = {"lengths": {"median": 3, "p95": 4}, "unknown": 0.01, "labels": {"好": 30, "差": 10}}
    found = drift(["ab", "abc", "abcde", "abcdef"], ["好", "差", "差", "neu"], 0.2, trained)
    assert found["lengths"]["beyond"] == 0.5
    assert found["lengths"]["new"]["median"] == 4
    assert found["labels"]["distance"] == pytest.approx((0.5 + 0.25 + 0.25) / 2)
    assert found["labels"]["new"] == {"好": 0.25, "差": 0.5, "neu": 0.25}
    assert found["labels"]["trained"] == {"好": 0.75, "差": 0.25, "neu": 0.0}
    assert found["unknown"] == {"new": 0.2, "trained": 0.01}


def test_what_is_not_known_is_none() -> None:
    found = drift(["ab"], [], None, {})
    assert found["lengths"]["trained"] is found["lengths"]["beyond"] is None
    assert found["unknown"] is found["labels"] is None


def test_rows_of_the_same_kind_are_mostly_within_chance() -> None:
    """Out of 40 samples about 2 are beyond what 95 of 100 stay below."""
    draw = random.Random(1)
    trained = {"lengths": {"median": 50, "p95": 95}, "labels": {"a": 70, "b": 20, "c": 10}}
    beyond = 0
    for seed in range(40):
        labels = draw.choices("abc", [70, 20, 10], k=200)
        texts = ["x" * draw.randint(1, 100) for _ in range(200)]
        found = drift(texts, labels, None, trained, seed)
        beyond += found["labels"]["distance"] > found["labels"]["by_chance"]
        assert found["lengths"]["by_chance"] == pytest.approx(0.075, abs=0.01)
    assert beyond <= 6


def test_other_mixes_are_beyond_it() -> None:
    trained = {"labels": {"a": 70, "b": 30}}
    found = drift(["x"] * 200, ["a"] * 100 + ["b"] * 100, None, trained)["labels"]
    assert found["distance"] == pytest.approx(0.2)
    assert found["distance"] > found["by_chance"]
