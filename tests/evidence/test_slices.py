"""Slices: named by length and value, measured like any rows, and marked only where chance does not explain them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hft_core.evidence.slices import by_length, by_value, compared_slices
from hft_plugins.metrics.classification import F1, Accuracy

ACCURACY = Accuracy(type="accuracy")
FACTS = {"labels": ["a", "b"]}


def statistics(right: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.stack([right, np.ones(len(right))], axis=1).astype(np.float64)


def test_lengths_are_cut_at_quarters_and_every_row_has_one() -> None:
    texts = ["字" * size for size in (1, 2, 3, 4, 5, 6, 7, 8, 80)]
    names = by_length(texts)
    assert names[0] == "1 to 3 characters"
    assert names[-1] == "8 to 80 characters"
    assert len(set(names)) == 4
    assert set(by_length(["same"] * 5)) == {"4 to 4 characters"}
    assert by_length([]) == []


def test_values_are_words_and_rare_ones_go_together() -> None:
    values = [None, "", "上海", 3, *(f"rare {number}" for number in range(30)), *["x"] * 5, *["y"] * 4]
    names = by_value(values)
    assert names[0] == names[1] == "no value"
    assert names[-1] == "y"
    assert "other values" in names
    assert len(set(names)) == 13


def test_values_that_begin_alike_stay_apart() -> None:
    """Only their titles are cut; and what looks like one of our own titles is not put together with it."""
    start = "https://example.org/a/rather/long/path/to/"
    names = by_value([start + "one", start + "two", start + "one"])
    assert names == [start[:40], f"{start[:40]} (2)", start[:40]]
    assert by_value(["none", "", None]) == ["none", "no value", "no value"]
    assert len(set(by_value(["no value", "", "other values", "no value"]))) == 3
    odd = by_value(["other values", *["x"] * 9, *(f"rare {number}" for number in range(20))])
    assert odd[0] == "other values (2)"
    assert odd[-1] == "other values"


def test_figures_are_those_of_the_rows_and_the_rest() -> None:
    right = np.array([1, 1, 0, 1, 0, 0, 1, 1, 1, 1])
    names = ["s"] * 4 + ["t"] * 5 + [None]
    found = compared_slices(ACCURACY, statistics(right), FACTS, {"source": names, "alone": ["u"] * 10})
    assert [(one["by"], one["value"], one["rows"]) for one in found] == [("source", "t", 5), ("source", "s", 4)]
    assert found[1]["figure"]["value"] == 0.75
    assert found[1]["rest"] == 0.6
    assert found[1]["figure"]["low"] <= 0.75 <= found[1]["figure"]["high"]
    assert [one["adjusted"] for one in found] == [None, None], "too few rows to judge"
    assert not any(one["apart"] for one in found)


@pytest.mark.parametrize("rows", [200, 3000])
def test_a_planted_weakness_is_marked_and_noise_is_not(rows: int) -> None:
    random = np.random.default_rng(rows)
    false = 0
    for _ in range(6):
        names = random.choice(["p", "q", "r", "s"], rows).tolist()
        right = random.random(rows) < 0.9
        false += any(one["apart"] for one in compared_slices(ACCURACY, statistics(right), FACTS, {"d": names}))
        weak = np.where(np.array(names) == "q", random.random(rows) < 0.55, right)
        marked = [one for one in compared_slices(ACCURACY, statistics(weak), FACTS, {"d": names}) if one["apart"]]
        assert "q" in [one["value"] for one in marked]
    assert false <= 1, "5 % of the reports, by Holm's method over the slices"


def test_what_is_all_wrong_is_marked_among_many_slices_too() -> None:
    """Holm's method multiplies by the number of slices: with sixty, a thousand random parts cannot be enough."""
    random = np.random.default_rng(0)
    values = {f"c{number}": random.integers(12, size=2000) for number in range(5)}
    right = (values["c0"] != 3) & (random.random(2000) < 0.95)
    dimensions = {by: [str(value) for value in of_rows] for by, of_rows in values.items()}
    found = compared_slices(ACCURACY, statistics(right), FACTS, dimensions)
    assert len(found) == 60
    apart = [one for one in found if one["apart"]]
    assert {one["by"] for one in apart} == {"c0"}, "where one value is all wrong, the others of its column are better"
    assert [one["value"] for one in apart if one["figure"]["value"] < one["rest"]] == ["3"]
    assert found == compared_slices(ACCURACY, statistics(right), FACTS, dimensions)


def test_all_right_small_slices_are_no_finding() -> None:
    """Twenty of twenty right among 93 % is luck, though its interval is a single point."""
    right = np.arange(1000) % 14 != 0
    right[:20] = True
    names = ["small"] * 20 + ["large"] * 980
    small = next(one for one in compared_slices(ACCURACY, statistics(right), FACTS, {"d": names}) if one["rows"] == 20)
    assert small["figure"]["low"] == small["figure"]["high"] == 1.0
    assert not small["apart"]


def test_macro_f1_is_judged_by_parts_of_the_same_size() -> None:
    """The figure of few rows is another one by itself; that is no weakness of the slice."""
    random = np.random.default_rng(0)
    labels = [f"l{place}" for place in range(15)]
    true = random.choice(labels, 2000)
    told = np.where(random.random(2000) < 0.8, true, random.choice(labels, 2000))
    metric = F1(type="f1")
    facts = {"labels": labels}
    rows = metric.rows([{"label": one} for one in told], [{"label": one} for one in true], facts)
    names = np.where(np.arange(2000) < 25, "few", "many").tolist()
    found = compared_slices(metric, rows, facts, {"d": names})
    assert not any(one["apart"] for one in found)


def test_a_hundred_thousand_rows() -> None:
    random = np.random.default_rng(0)
    right = random.random(100_000) < 0.9
    names = random.choice(["p", "q"], 100_000).tolist()
    found = compared_slices(ACCURACY, statistics(right), FACTS, {"d": names})
    width = found[0]["figure"]["high"] - found[0]["figure"]["low"]
    assert width == pytest.approx(2 * 1.96 * (0.09 / 50_000) ** 0.5, rel=0.2)
