"""Multi-label classification without training: how labels are read, what is refused, thresholds, the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hft_core import DataError, Ragged, RecipeError, Roles, Stream
from hft_core.runtime.agreement import decision, margin
from hft_core.runtime.randomness import RowRandom
from hft_plugins.multi_label.label_sets import found_separator, label_sets
from hft_plugins.multi_label.objective import MultiLabel
from hft_plugins.multi_label.runtime import decode
from hft_plugins.multi_label.task import MultiLabelClassification

FACTS = {"labels": ["b", "甲"], "counts": [3, 1], "rows": 4, "thresholds": [0.5, 0.5]}


def task(**fields: Any) -> MultiLabelClassification:
    return MultiLabelClassification(type="multi-label-classification", **fields)


def bound(columns: dict[str, list[Any]], **fields: Any) -> MultiLabelClassification:
    return task(**fields).bind(columns)


@pytest.mark.parametrize(
    ("value", "separator", "found"),
    [
        (["a", "b"], "|", ["a", "b"]),
        ([], "|", []),
        ('["a", "b|c"]', "|", ["a", "b|c"]),
        ("[]", "|", []),
        ("a | b", "|", ["a", "b"]),
        ("味道、速度", "、", ["味道", "速度"]),
        ("", "|", []),
        ("  ", "|", []),
        ([1, True], "|", ["1", "True"]),
        (3, "|", ["3"]),
        (None, "|", "missing-labels"),
        (["a", ""], "|", "empty-label"),
        (["a", None], "|", "empty-label"),
        ("a||b", "|", "empty-label"),
        (["a", "b", "a"], "|", "repeated-label: 'a'"),
        ([["a"]], "|", "not-a-list-of-labels"),
        ({"a": 1}, "|", "not-a-list-of-labels"),
        ('["a"', "|", "not-a-list-of-labels"),
    ],
)
def test_forms_of_one_column(value: Any, separator: str, found: Any) -> None:
    assert label_sets({"labels": [value]}, "labels", separator) == [found]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((1, 0), ["好"]),
        (("1", "true"), ["好", "坏"]),
        ((False, 0.0), []),
        ((1, None), "missing-labels: '坏'"),
        ((1, ""), "missing-labels: '坏'"),
        ((1, 2), "not-0-or-1: '坏' is '2'"),
        ((float("nan"), 1), "not-0-or-1: '好' is 'nan'"),
    ],
)
def test_a_column_for_each_label(values: tuple[Any, Any], found: Any) -> None:
    assert label_sets({"好": [values[0]], "坏": [values[1]]}, ["好", "坏"], "|") == [found]


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        (["a|b, c", "d"], "|"),
        (["味道、速度", "环境"], "、"),
        (["a, b"], ","),
        (["alone"], "|"),
        ([["a"], None], "|"),
        (['["a", "b"]'], "|"),
    ],
)
def test_the_separator_is_found(values: list[Any], mark: str) -> None:
    assert found_separator(values) == mark


def test_columns_are_found_and_missing_ones_named() -> None:
    sample = {"id": ["1"], "Genres": ["a|b"], "title": ["a long title"]}
    found = bound(sample)
    assert (found.text, found.labels, found.separator) == ("title", "Genres", "|")
    assert found.roles() == Roles(text=("title",), target=("Genres",))
    with pytest.raises(DataError, match="no column 'tags' for labels"):
        bound(sample, labels="tags")
    with pytest.raises(DataError, match="no column is called like labels"):
        bound({"id": ["1"], "title": ["x"]})
    with pytest.raises(DataError, match="'Genres' is read as a text and predicted too"):
        bound(sample, text="Genres", labels="Genres")
    with pytest.raises(ValidationError, match="different columns"):
        task(labels=["a", "a"])


def test_rows_that_cannot_be_used() -> None:
    columns = {"text": ["x", "", None, 3, "y"], "labels": [["a"], ["a"], ["a"], ["a"], None]}
    own = bound(columns)
    assert own.refusals(own.arrange(columns)) == [None, "empty-text", "empty-text", "not-a-text", "missing-labels"]


def test_columns_of_0_and_1_become_one_of_lists() -> None:
    columns = {"text": ["x", "y"], "好": [1, 0], "坏": ["1", "?"]}
    own = bound(columns, labels=["好", "坏"])
    arranged = own.arrange(columns)
    assert arranged["labels"] == [["好", "坏"], "not-0-or-1: '坏' is '?'"]
    assert own.roles() == Roles(text=("text",), target=("labels",))
    assert own.refusals(arranged) == [None, "not-0-or-1: '坏' is '?'"]
    with pytest.raises(DataError, match="no column '坏' for labels"):
        own.arrange({"text": ["x"], "好": [1]})


def test_facts_are_labels_in_order_with_counts() -> None:
    columns = {"text": ["x"] * 4, "labels": [["b", "甲"], ["10"], ["9", "b"], []]}
    facts = bound(columns, thresholds=0.3).learn([columns])
    assert facts == {"labels": ["9", "10", "b", "甲"], "counts": [1, 1, 2, 1], "rows": 4, "thresholds": [0.3] * 4}


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([[], []], "has no label in any row"),
        ([["a"], ["a"]], "the same labels in every row: a"),
        ([[f"l{n}"] for n in range(1001)], "hardly labels"),
    ],
)
def test_nothing_to_learn_is_an_error(sets: list[list[str]], said: str) -> None:
    columns = {"text": ["x"] * len(sets), "labels": sets}
    with pytest.raises(DataError, match=said):
        bound(columns).learn([columns])


def test_labels_that_train_lacks_are_named() -> None:
    columns = {"text": ["x", "y"], "labels": [["b"], ["新", "b"]]}
    with pytest.raises(DataError, match="'labels' has labels that the training split lacks: '新' \\(1 rows\\)"):
        bound(columns).truths(columns, FACTS)


def test_truths_and_targets_keep_the_order_of_the_facts() -> None:
    columns = {"text": ["x", "y"], "labels": [["甲", "b"], []]}
    own = bound(columns)
    assert own.truths(columns, FACTS) == [{"labels": ["b", "甲"]}, {"labels": []}]
    found = own.targets(columns, {"row": np.array([0, 1])}, FACTS)["labels"]
    assert isinstance(found, Ragged)
    assert [row.tolist() for row in (found[0], found[1])] == [[0, 1], []]


def test_each_label_gets_the_threshold_of_its_best_f1() -> None:
    """`b` stands in many rows and has its own; `甲` in few, so it gets the one that is best for all together."""
    random = np.random.default_rng(0)
    has = np.stack([random.random(200) < 0.3, np.arange(200) < 5], axis=1)
    scores = np.clip(has * [0.15, 0.5] + random.random((200, 2)) * 0.1 + 0.05, 1e-6, 1)
    columns = {"text": ["x"] * 200, "labels": [[FACTS["labels"][k] for k in np.flatnonzero(row)] for row in has]}
    outputs = {"logits": np.log(scores / (1 - scores))}
    own = bound(columns)
    facts = own.tune(columns, {}, outputs, FACTS)
    threshold = facts["thresholds"][0]
    untempered = 1 / (1 + (1 / threshold - 1) ** facts["temperature"])  # thresholds are of scores at the temperature
    assert 0.15 < untempered < 0.2
    shared = bound(columns, thresholds="shared").tune(columns, {}, outputs, FACTS)["thresholds"]
    assert facts["thresholds"][1] == shared[0] == shared[1]
    assert [row["labels"] for row in decode({}, {}, {}, outputs, facts)] == columns["labels"]
    fixed = bound(columns, thresholds=0.9).tune(columns, {}, outputs, FACTS)
    assert fixed["thresholds"] == FACTS["thresholds"]
    assert fixed["temperature"] == facts["temperature"]


def test_predictions_say_how_near_they_are_to_another() -> None:
    [one, none] = decode({}, {}, {}, {"logits": np.array([[2.0, 0.05], [-3.0, -2.0]])}, FACTS)
    assert one["labels"] == ["b", "甲"]
    assert one["margin"] == pytest.approx(1 / (1 + np.exp(-0.05)) - 0.5)
    assert none["labels"] == []
    assert list(one["scores"]) == FACTS["labels"]
    assert decision(one) == {"labels": ["b", "甲"], "scores": {}}
    assert margin(one) == one["margin"]


class Pads:
    """A preprocessor that has nothing to pad."""

    def pad(self, arrays: Any) -> dict[str, Any]:
        return {"input_ids": np.zeros((len(arrays["labels"]), 1), np.int64)}


def loss_of(objective: MultiLabel, logits: Any, sets: list[list[int]], facts: dict[str, Any] = FACTS) -> float:
    import torch

    stream = Stream(Pads(), Roles(text=("text",)), facts=facts)  # type: ignore[arg-type]  # as much as is needed
    batch = objective.batch({"labels": Ragged.from_rows(sets)}, RowRandom(0, np.arange(len(sets))), stream)
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    assert objective.count(batch) == len(sets)
    return float(objective.loss(lambda **_: {"logits": torch.tensor(logits)}, tensors).sum)


def test_the_loss_is_that_of_torch() -> None:
    import torch

    logits, sets = [[0.3, -1.0], [2.0, 0.5], [0.0, 0.0]], [[0], [0, 1], []]
    target = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    plain = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(logits), target)
    own = MultiLabel(type="multi-label", data="train")
    assert loss_of(own, logits, sets) == pytest.approx(float(plain) * 3)
    weighted = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1 / 3, 3.0]))(torch.tensor(logits), target)
    balanced = MultiLabel(type="multi-label", data="train", positive_weights="balanced")
    assert loss_of(balanced, logits, sets) == pytest.approx(float(weighted) * 3)
    wrong = MultiLabel(type="multi-label", data="train", positive_weights={"丙": 2})
    with pytest.raises(RecipeError, match="'丙', which is no label"):
        loss_of(wrong, logits, sets)
