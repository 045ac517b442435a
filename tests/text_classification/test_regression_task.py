"""Regression without training: which numbers are read, what is refused, the unit of predictions, the loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hft_core import DataError, RecipeError, Roles, Stream
from hft_plugins.regression.objective import RegressionLoss
from hft_plugins.regression.runtime import decode
from hft_plugins.regression.task import Regression


def bound(columns: dict[str, list[Any]], **fields: Any) -> Regression:
    return Regression(type="regression", **fields).bind(columns)


def test_columns_are_found() -> None:
    found = bound({"评分": ["3"], "text": ["a long text"], "id": [1]})
    assert (found.text, found.target) == ("text", "评分")
    assert bound({"price": ["3.5", "2"], "text": ["a long text", "b"]}).target == "price"
    assert bound({"score": [1], "label": [2], "text": ["t"]}).target == "score"
    stars = ["3", "", "4", "5", "四星", "1", "2", "2", "5", "4"]  # a fifth may be bad
    assert bound({"票": stars, "text": ["t"] * 10, "shop": ["s"] * 10}).target == "票"
    with pytest.raises(DataError, match="these hold numbers: a, b"):
        bound({"a": [1], "b": ["2"], "text": ["t"]})
    with pytest.raises(DataError, match="no column 'stars' for target"):
        bound({"a": [1], "text": ["t"]}, target="stars")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, None),
        ("-2.5e1", None),
        (" 7 ", None),
        (None, "missing-number"),
        ("", "missing-number"),
        ("good", "not-a-number"),
        ("nan", "not-a-number"),
        (math.nan, "not-a-number"),
        (math.inf, "not-a-number"),
        (True, "not-a-number"),
        ([1], "not-a-number"),
    ],
)
def test_rows_that_cannot_be_used(value: Any, reason: str | None) -> None:
    columns = {"text": ["x"], "score": [value]}
    assert bound({"text": ["x"], "score": [1]}).refusals(columns) == [reason]


def test_predictions_are_in_the_unit_of_the_data() -> None:
    numbers = [10.0, 20.0, 60.0, 30.0]
    batches = [{"text": ["x"], "score": [number]} for number in numbers]
    own = bound(batches[0])
    facts = own.learn(batches)
    assert facts == {"mean": pytest.approx(30), "sd": pytest.approx(np.std(numbers)), "rows": 4}
    columns = {"text": ["x"] * 4, "score": numbers}
    standard = own.targets(columns, {"row": np.arange(4)}, facts)["labels"]
    assert standard.dtype == np.float32
    assert np.asarray(standard).mean() == pytest.approx(0, abs=1e-6)
    found = decode({}, {}, {}, {"logits": np.asarray(standard)[:, None]}, facts)
    assert [row["score"] for row in found] == pytest.approx(numbers, rel=1e-6)
    assert own.truths(columns, facts) == [{"score": number} for number in numbers]


@pytest.mark.parametrize(("numbers", "said"), [([2, 2.0], "only the number 2"), ([], "no number")])
def test_nothing_to_learn_is_an_error(numbers: list[float], said: str) -> None:
    with pytest.raises(DataError, match=said):
        bound({"text": ["x"], "score": [1]}).learn([{"text": ["x"] * len(numbers), "score": numbers}])


def test_the_loss_is_half_the_squared_error_or_hubers() -> None:
    import torch

    batch = {"labels": torch.tensor([0.0, 3.0]), "input_ids": torch.zeros(2, 1)}

    def net(**inputs: Any) -> dict[str, Any]:
        assert set(inputs) == {"input_ids"}
        return {"logits": torch.tensor([[0.5], [0.0]])}

    squared = RegressionLoss(type="regression", data="train").loss(net, batch)
    assert float(squared.sum) == pytest.approx((0.25 + 9) / 2)
    huber = RegressionLoss(type="regression", data="train", huber=1).loss(net, batch)
    assert float(huber.sum) == pytest.approx(0.125 + 2.5)


def test_targets_that_are_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from hft_plugins.text_classification.task import TextClassification

    columns = {"text": ["x", "y"], "label": ["a", "b"]}
    task = TextClassification(type="text-classification").bind(columns)
    monkeypatch.setattr(TextClassification, "encode", lambda *_: {"row": np.arange(2)})
    stream = Stream(None, Roles(text=("text",)), task, {"labels": ["a", "b"]})  # type: ignore[arg-type]  # not reached
    with pytest.raises(RecipeError, match="text-classification are no numbers"):
        RegressionLoss(type="regression", data="train").encode(columns, stream)
