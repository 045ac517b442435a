"""Pairs: how many, of which rows, the same each time, in pieces too; and the loss that is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from hft_core import RowRandom, Stream
from hft_fewshot.contrastive import ContrastivePairs
from hft_fewshot.pairs import draw_pairs
from hft_fewshot.task import FewShotClassification

from .conftest import preprocessor


def drawn(labels: list[int], pairs: int = 5, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return draw_pairs(torch.tensor(labels), torch.rand(len(labels), 2 * pairs, generator=generator))


def test_as_many_of_each_sort_and_never_the_row_itself() -> None:
    labels = [2, 0, 1, 0, 2, 1, 1, 0, 2, 2]
    rows, alike, unlike = drawn(labels, pairs=7)
    assert sorted(rows.tolist()) == list(range(len(labels)))
    assert alike.shape == unlike.shape == (len(labels), 7)
    of = torch.tensor(labels)
    assert (of[alike] == of[rows][:, None]).all()
    assert (of[unlike] != of[rows][:, None]).all()
    assert (alike != rows[:, None]).all()


def test_every_partner_comes_and_none_is_preferred() -> None:
    labels = [0] * 5 + [1] * 3 + [2] * 4
    rows, alike, unlike = drawn(labels, pairs=6000)
    for place, row in enumerate(rows.tolist()):
        for found, wanted in (
            (alike, {other for other, label in enumerate(labels) if label == labels[row] and other != row}),
            (unlike, {other for other, label in enumerate(labels) if label != labels[row]}),
        ):
            times = torch.bincount(found[place], minlength=len(labels))
            assert {other for other in range(len(labels)) if times[other]} == wanted
            assert times[list(wanted)] == pytest.approx(6000 / len(wanted), rel=0.2)


def test_the_highest_and_lowest_draws_stay_within_bounds() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1])
    for draw in (0.0, float(np.nextafter(np.float32(1), np.float32(0)))):
        rows, alike, unlike = draw_pairs(labels, torch.full((5, 2), draw))
        assert (labels[alike] == labels[rows][:, None]).all()
        assert (labels[unlike] != labels[rows][:, None]).all()
        assert (alike != rows[:, None]).all()


def test_a_label_with_one_row_serves_others_only() -> None:
    rows, alike, unlike = drawn([0, 1, 0, 0], pairs=50)
    assert sorted(rows.tolist()) == [0, 2, 3]
    assert 1 not in alike
    assert (unlike == 1).all()


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0]])
def test_where_there_are_no_pairs_there_are_none(labels: list[int]) -> None:
    rows, alike, unlike = drawn(labels)
    assert len(rows) == len(alike) == len(unlike) == 0


def test_the_number_of_pairs_grows_with_the_rows() -> None:
    sizes = []
    for count in (100, 1000, 10_000):
        rows, alike, unlike = drawn([row % 4 for row in range(count)], pairs=3)
        sizes.append(alike.numel() + unlike.numel())
        assert len(rows) == count
    assert sizes == [600, 6000, 60_000]


def objective(**settings: Any) -> ContrastivePairs:
    return ContrastivePairs.model_validate({"type": "contrastive-pairs", "data": "train", "task": "main"} | settings)


def stream() -> Stream:
    task = FewShotClassification(type="few-shot-classification")
    return Stream(preprocessor(), task.roles(), task, {"labels": ["neg", "pos"], "counts": [2, 2]})


def test_the_same_rows_draw_the_same_partners_however_a_batch_is_divided() -> None:
    made, of = objective(pairs=4), stream()
    columns = {"text": ["it was great", "bad film", "很好", "很差"], "label": ["pos", "neg", "pos", "neg"]}
    arrays = made.encode(columns, of)
    arrays.pop("row")
    whole = made.batch(arrays, RowRandom(7, np.arange(4)), of)["draws"]
    from hft_core.runtime.ragged import take

    parts = [
        made.batch(take(arrays, own), RowRandom(7, own), of)["draws"] for own in (np.array([0, 1]), np.array([2, 3]))
    ]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, made.batch(arrays, RowRandom(8, np.arange(4)), of)["draws"])


def test_the_loss_is_what_it_says() -> None:
    """Two rows of one label at an angle, one of another: every draw gives the same partners."""
    embedding = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 2.0]], requires_grad=True)
    vectors = {"embedding": embedding, "labels": torch.tensor([1, 1, 0]), "draws": torch.rand(3, 6)}
    loss = objective(pairs=3, temperature=0.5).couple(vectors).sum
    first = math.log(math.exp(0.6 / 0.5) + 3 * math.exp(0.0)) - 0.6 / 0.5
    second = math.log(math.exp(0.6 / 0.5) + 3 * math.exp(0.8 / 0.5)) - 0.6 / 0.5
    assert float(loss.detach()) == pytest.approx(3 * (first + second) / 2, rel=1e-5)
    loss.backward()
    assert torch.isfinite(embedding.grad).all()


def test_a_step_of_one_label_has_no_loss() -> None:
    embedding = torch.randn(3, 4, requires_grad=True)
    loss = objective().couple(
        {"embedding": embedding, "labels": torch.zeros(3, dtype=torch.int64), "draws": torch.rand(3, 40)}
    )
    assert float(loss.sum.detach()) == 0
    loss.sum.backward()


def test_a_label_with_one_row_is_told() -> None:
    made, of = objective(), stream()
    arrays = made.encode({"text": ["a", "b", "c"], "label": ["pos", "pos", "neg"]}, of)
    assert made.remarks(arrays, of) == [
        "the label 'neg' has one row only: it is pushed away from others, and nothing is pulled towards it"
    ]
