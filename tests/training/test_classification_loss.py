"""Class weights and focal loss: the sum changes, row by row as said, and the count does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from hft_core import RecipeError, RowRandom
from hft_core.training.loop import train
from hft_plugins.text_classification.objective import Classification

LOGITS = torch.tensor([[2.0, -1.0], [0.3, 0.1], [-1.0, 4.0], [0.0, 0.0]])
LABELS = torch.tensor([0, 1, 1, 0])
ROWS = cross_entropy(LOGITS, LABELS, reduction="none")


def summed(settings: dict[str, Any], weights: torch.Tensor | None = None, logits: torch.Tensor = LOGITS) -> Any:
    objective = Classification(type="classification", data="train", **settings)
    batch = {"labels": LABELS} | ({} if weights is None else {"weights": weights})
    return objective.loss(lambda **inputs: {"logits": logits}, batch).sum


def made(bench: Any, make_rows: Any, facts: dict[str, Any] | None = None, **settings: Any) -> Any:
    """The objective and its batch of eight rows."""
    objective = bench.objective("classification", **settings)
    arrays = bench.arrays(objective, make_rows(8))
    arrays = {name: array for name, array in arrays.items() if name not in ("row", "variant")}
    context = bench.context(objective)
    context.facts.update(facts or {})
    return objective, objective.batch(arrays, RowRandom(0, np.arange(8)), context)


@pytest.fixture
def bench(bert: Any) -> Any:
    """The bench with facts of its own."""
    from dataclasses import replace

    return replace(bert, facts=dict(bert.facts))


def test_each_row_is_multiplied_by_the_weight_of_its_label() -> None:
    weights = torch.tensor([0.5, 3.0, 3.0, 0.5])
    torch.testing.assert_close(summed({}, weights), (ROWS * weights).sum())


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_is_that_of_the_paper(gamma: float) -> None:
    right = LOGITS.softmax(-1)[torch.arange(4), LABELS]
    torch.testing.assert_close(summed({"focal": gamma}), (-((1 - right) ** gamma) * right.log()).sum())


def test_focal_and_weights_and_smoothing_go_together() -> None:
    weights = torch.tensor([0.5, 3.0, 3.0, 0.5])
    right = LOGITS.softmax(-1)[torch.arange(4), LABELS]
    smoothed = cross_entropy(LOGITS, LABELS, reduction="none", label_smoothing=0.1)
    expected = (smoothed * (1 - right) ** 2 * weights).sum()
    torch.testing.assert_close(summed({"focal": 2.0, "label_smoothing": 0.1}, weights), expected)


def test_a_certain_row_has_a_finite_gradient() -> None:
    logits = torch.tensor([[200.0, -200.0]] * 2 + [[-200.0, 200.0]] * 2, requires_grad=True)
    summed({"focal": 0.5}, logits=logits).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_balanced_weights_make_each_label_weigh_the_same(bench: Any, make_rows: Any) -> None:
    objective, batch = made(bench, make_rows, {"counts": [30, 10]}, class_weights="balanced")
    expected = np.array([40 / 60, 40 / 20], np.float32)[batch["labels"]]
    np.testing.assert_array_equal(batch["weights"], expected)
    assert 30 * 40 / 60 == 10 * 40 / 20
    assert objective.count(batch) == 8, "the count is that of rows"


def test_a_mapping_names_labels_and_leaves_others_at_one(bench: Any, make_rows: Any) -> None:
    _, batch = made(bench, make_rows, class_weights={"pos": 4})
    np.testing.assert_array_equal(batch["weights"], np.where(batch["labels"] == 1, 4, 1))
    assert set(batch["weights"]) == {1, 4}
    assert batch["weights"].dtype == np.float32


def test_without_weights_a_batch_is_as_it_was(bench: Any, make_rows: Any) -> None:
    assert "weights" not in made(bench, make_rows)[1]


def test_numbers_may_be_labels() -> None:
    objective = Classification(type="classification", data="train", class_weights={0: 2.0, "1": 3.0})
    assert objective.class_weights == {"0": 2.0, "1": 3.0}


def test_an_unknown_label_is_an_error_that_lists_those_there_are(bench: Any, make_rows: Any) -> None:
    with pytest.raises(RecipeError, match=r"'positive', which is no label; the labels are 'neg', 'pos'"):
        made(bench, make_rows, class_weights={"positive": 2.0})


def test_balanced_needs_counts(bench: Any, make_rows: Any) -> None:
    del bench.facts["counts"]
    with pytest.raises(RecipeError, match=r"give a mapping with the labels 'neg', 'pos'"):
        made(bench, make_rows, class_weights="balanced")


def test_a_step_is_scaled_by_the_weights(bench: Any, make_rows: Any) -> None:
    """All labels doubled: plain SGD goes twice as far, in micro-batches too."""
    start, moves = bench.weights(), []
    for settings in ({}, {"class_weights": {"neg": 2.0, "pos": 2.0}}):
        parts = (bench.objective("classification", **settings), make_rows(16))
        net = train(bench.job(parts, micro_batch=5)).net
        moves.append({name: value.detach() - start[name] for name, value in net.named_parameters()})
    for name, value in moves[0].items():
        torch.testing.assert_close(moves[1][name], 2 * value, rtol=1e-3, atol=1e-6)
    assert max(value.abs().max() for value in moves[0].values()) > 1e-4
