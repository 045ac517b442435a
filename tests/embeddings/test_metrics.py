"""Retrieval: ranks as one would count them, over the different partners of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hft_plugins.embeddings.metrics import MeanReciprocalRank, RecallAt, ranks

MRR = MeanReciprocalRank(type="mrr")


def rows(vectors: Any, partners: Any, **truths: list[Any]) -> tuple[list[Any], list[Any]]:
    count = len(vectors)
    usual = {
        "anchor": [f"q{row}" for row in range(count)],
        "match": [f"d{row}" for row in range(count)],
        "group": [None] * count,
    }
    columns = usual | truths
    found = [{"vector": list(one), "positive_vector": list(two)} for one, two in zip(vectors, partners, strict=True)]
    return found, [{name: column[row] for name, column in columns.items()} for row in range(count)]


def by_hand(found: list[Any], truths: list[Any]) -> list[int]:
    """Ranks by sorting, where nothing is equally near."""
    documents = {truth["match"]: np.array(row["positive_vector"]) for row, truth in zip(found, truths, strict=True)}
    made = []
    for row, truth in zip(found, truths, strict=True):
        own = {other["match"] for other in truths if other["anchor"] == truth["anchor"]}
        own |= {other["match"] for other in truths if truth["group"] is not None and other["group"] == truth["group"]}
        vector = np.array(row["vector"])
        near = sorted(
            (name for name in documents if name in own or name != truth["anchor"]),
            key=lambda name: -(vector @ documents[name]) / np.linalg.norm(vector) / np.linalg.norm(documents[name]),
        )
        made.append(1 + min(sum(name not in own for name in near[: near.index(mine)]) for mine in own))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_those_of_sorting(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = 40
    document = draw.integers(0, 25, count)  # some share a partner
    partners = draw.normal(size=(25, 6))[document]
    asked = draw.integers(0, 35, count)  # some are asked twice
    groups = [None if draw.random() < 0.7 else int(draw.integers(0, 4)) for _ in range(count)]
    found, truths = rows(
        draw.normal(size=(count, 6)), partners, match=[f"d{one}" for one in document],
        anchor=[f"d{one}" if one % 9 == 0 else f"q{one}" for one in asked], group=groups,
    )  # fmt: skip
    wanted = by_hand(found, truths)
    assert ranks(found, truths).tolist() == wanted
    assert MRR.measure(found, truths, {}) == {"mrr": pytest.approx(np.mean([1 / rank for rank in wanted]))}
    at = RecallAt(type="recall-at", k=5).measure(found, truths, {})
    assert at == {"recall@5": pytest.approx(np.mean([rank <= 5 for rank in wanted]))}


def test_vectors_that_are_all_the_same_find_nothing() -> None:
    found, truths = rows(np.ones((11, 3)), np.ones((11, 3)))
    assert ranks(found, truths).tolist() == [6.0] * 11, "the mean of 1 to 11, not the best place"


def test_it_can_be_summed_over_rows_and_has_nothing_of_none() -> None:
    found, truths = rows(np.eye(4), np.eye(4)[[0, 1, 3, 2]])
    statistics = MRR.rows(found, truths, {})
    assert statistics.shape == (4, 2)
    assert MRR.additive
    assert MRR.figures(statistics, {}) == MRR.figures(statistics.sum(axis=0), {})
    assert MRR.measure([], [], {}) == {"mrr": 0.0}


def test_several_depths_stand_beside_each_other() -> None:
    one, ten = RecallAt(type="recall-at", k=1), RecallAt(type="recall-at")
    assert (one.title, ten.title) == ("recall@1", "recall@10")
    assert one.identity()["name"] != ten.identity()["name"]
    assert RecallAt(type="recall-at", k=1, name="first").title == "first"
