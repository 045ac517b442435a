from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from seqeval.metrics import classification_report  # type: ignore[import-untyped]  # ships no types
from seqeval.scheme import IOB2  # type: ignore[import-untyped]  # as above

from hft_plugins.metrics.entities import EntityF1

TYPES = ["a", "b-c", "产品"]
CASES = [pytest.param(first, marks=pytest.mark.slow if first else ()) for first in range(0, 1000, 100)]


def sentence(random: np.random.Generator, length: int, like: list[str] | None = None) -> list[str]:
    """Tags that follow each other as IOB2 asks, perhaps much like others."""
    tags: list[str] = []
    for place in range(length):
        before = tags[-1] if tags else "O"
        choices = ["O", *(f"B-{name}" for name in TYPES), *([] if before == "O" else [f"I-{before[2:]}"])]
        wanted = like[place] if like and random.random() < 0.8 else None
        tags.append(wanted if wanted in choices else str(random.choice(choices)))
    return tags


def entities(tags: list[str]) -> dict[str, Any]:
    """What the tags say, by places in the sentence; an independent reading of IOB2."""
    found: list[dict[str, Any]] = []
    for place, tag in enumerate(tags):
        if tag[0] == "B":
            found.append({"start": place, "end": place + 1, "type": tag[2:], "score": 0.5, "text": "x"})
        elif tag[0] == "I":
            found[-1]["end"] = place + 1
    return {"entities": found}


@pytest.mark.parametrize("first", CASES)
def test_figures_are_those_of_seqeval(first: int) -> None:
    for seed in range(first, first + 100):
        _compare_with_seqeval(seed)


def _compare_with_seqeval(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(1, 8))
    true = [sentence(random, int(random.integers(1, 9))) for _ in range(rows)]
    predicted = [sentence(random, len(tags), tags) for tags in true]
    if seed % 10 == 0:
        predicted = [["O"] * len(tags) for tags in true]
    if seed % 15 == 0:
        true = [["O"] * len(tags) for tags in true]
    facts = {"types": TYPES}
    value = EntityF1(type="entity-f1").measure(list(map(entities, predicted)), list(map(entities, true)), facts)
    assert next(iter(value)) == "entity-f1"
    if all(tag == "O" for tags in true + predicted for tag in tags):
        assert set(value.values()) == {0.0}  # seqeval has nothing to say
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = classification_report(true, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    assert value["entity-f1"] == pytest.approx(report["micro avg"]["f1-score"], abs=1e-12)
    for name in TYPES:
        expected = report[name]["f1-score"] if name in report else 0.0
        assert value[f"entity-f1[{name}]"] == pytest.approx(expected, abs=1e-12)


def test_statistics_add_up() -> None:
    random = np.random.default_rng(1)
    true = [sentence(random, 9) for _ in range(20)]
    predicted = [sentence(random, 9, tags) for tags in true]
    metric, facts = EntityF1(type="entity-f1"), {"types": TYPES}
    assert metric.additive
    statistics = metric.rows(list(map(entities, predicted)), list(map(entities, true)), facts)
    assert statistics.shape == (20, 9)
    parts = sum(metric.rows([entities(predicted[row])], [entities(true[row])], facts)[0] for row in range(20))
    assert (statistics.sum(axis=0) == parts).all()
    assert 0.2 < metric.value(statistics.sum(axis=0), facts)["entity-f1"] < 1


def test_a_border_or_type_that_is_off_is_wrong() -> None:
    one = {"start": 2, "end": 5, "type": "a"}
    metric, facts = EntityF1(type="entity-f1"), {"types": TYPES}

    def figure(**change: Any) -> float:
        figures = metric.measure([{"entities": [one | change]}], [{"entities": [one]}], facts)
        return float(figures["entity-f1"])

    assert figure() == 1
    assert figure(start=1) == figure(end=4) == figure(type="b-c") == 0


def test_an_entity_twice_counts_once() -> None:
    one = {"start": 2, "end": 5, "type": "a"}
    value = EntityF1(type="entity-f1").measure([{"entities": [one, one]}], [{"entities": [one]}], {"types": TYPES})
    assert value["entity-f1"] == 1
