from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hft_core import Columns, DataError, Ragged
from hft_plugins.token_classification.objective import Tagging
from hft_plugins.token_classification.task import UNLABELLED, TokenClassification

TASK = TokenClassification(type="token-classification")


def one(start: Any, end: Any, kind: Any = "x") -> dict[str, Any]:
    return {"start": start, "end": end, "type": kind}


@pytest.mark.parametrize(
    ("text", "entities", "reason"),
    [
        ("Anna left", [one(0, 4)], None),
        ("Anna left", [], None),
        ("ab", [one(1, 2), one(0, 1)], None),
        (None, [], "empty-text"),
        (" \n", [], "empty-text"),
        (7, [], "not-a-text"),
        ("Anna", None, "not-a-list-of-entities"),
        ("Anna", "[]", "not-a-list-of-entities"),
        ("Anna", [[0, 4, "x"]], "not-a-list-of-entities"),
        ("Anna", [{"end": 4, "type": "x"}], "entity-without-place"),
        ("Anna", [one("0", 4)], "entity-without-place"),
        ("Anna", [one(True, 4)], "entity-without-place"),
        ("Anna", [one(0, 5)], "entity-outside-text"),
        ("Anna", [one(-1, 2)], "entity-outside-text"),
        ("Anna", [one(2, 2)], "entity-outside-text"),
        ("a  b", [one(1, 3)], "entity-of-spaces"),
        ("Anna", [{"start": 0, "end": 4, "label": "x"}], "entity-without-type"),
        ("Anna", [one(0, 4, " ")], "entity-without-type"),
        ("Anna left", [one(3, 6), one(0, 4)], "overlapping-entities"),
    ],
)
def test_refusals(text: Any, entities: Any, reason: str | None) -> None:
    [found] = TASK.refusals({"text": [text], "entities": [entities]})
    assert (found.partition(": ")[0] if found else None) == reason


def test_bind_names_the_missing_column() -> None:
    with pytest.raises(DataError, match=r"no column 'entities' for entities; its columns are text, tags.*conll"):
        TASK.bind({"text": ["a"], "tags": ["O"]})
    assert TASK.bind({"text": ["a"], "entities": [[]]}) == TASK


def test_roles_keep_augmenters_off_the_entities() -> None:
    roles = TokenClassification(type="token-classification", text="t", entities="e").roles()
    assert (roles.text, roles.target, roles.spans, roles.protected) == (("t",), ("e",), ("e",), ("e",))


def test_what_is_learned() -> None:
    batches: list[Columns] = [
        {"text": ["a b"], "entities": [[one(0, 1, "z"), one(2, 3, "creative-work")]]},
        {"text": ["c", "d"], "entities": [[], [one(0, 1, "z")]]},
    ]
    facts = TASK.learn(batches)
    assert facts == {
        "labels": ["O", "B-creative-work", "I-creative-work", "B-z", "I-z"],
        "types": ["creative-work", "z"],
        "counts": [1, 2],
        "compounds": ["address", "mention", "hashtag"],
    }
    head = TASK.head(facts)
    assert (head.name, head.size, head.labels) == ("token-classification", 5, tuple(facts["labels"]))


def test_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="no row of the training split has an entity"):
        TASK.learn([{"text": ["a"], "entities": [[]]}])


def test_truths_are_in_order_and_without_spaces() -> None:
    columns: Columns = {"text": ["a b  c ", "d"], "entities": [[one(4, 7), one(0, 2), one(3, 4)], [one(1, 1)]]}
    facts = {"types": ["x"]}
    assert TASK.truths(columns, facts) == [{"entities": [one(0, 1), one(5, 6)]}, {"entities": []}]


def test_a_type_that_train_lacks() -> None:
    with pytest.raises(DataError, match=r"'y' \(1 times\).*it knows 'x'"):
        TASK.truths({"text": ["ab"], "entities": [[one(0, 1), one(1, 2, "y")]]}, {"types": ["x"]})


def test_an_overlap_below_nothing() -> None:
    with pytest.raises(ValidationError):
        TokenClassification(type="token-classification", overlap=-1)


def test_the_loss_is_that_of_the_labelled_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, generator=generator)
    labels = torch.tensor([[-100, 2, -100, 1], [0, -100, 4, -100], [-100] * 4])
    batch = {"input_ids": torch.zeros(3, 4, dtype=torch.int64), "labels": labels}
    objective = Tagging(type="tagging", data="train")

    def net(**inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        assert list(inputs) == ["input_ids"]
        return {"logits": logits}

    loss = objective.loss(net, batch)
    logs = logits.log_softmax(-1)
    by_hand = -(logs[0, 1, 2] + logs[0, 3, 1] + logs[1, 0, 0] + logs[1, 2, 4])
    torch.testing.assert_close(loss.sum, by_hand)
    assert loss.outputs["logits"] is logits
    assert objective.count({"labels": labels.numpy()}) == 4


def test_each_entity_begins_with_its_begin_tag(make_encoder: Any) -> None:
    text = "so unbelievably Anna Smith Bob , Eve"
    columns: Columns = {"text": [text], "entities": [[one(16, 26), one(27, 30), one(33, 36, "y")]]}
    facts = TASK.learn([columns])
    for kind in ("wordpiece", "bpe"):
        arrays = TASK.encode(columns, make_encoder(kind, [text], size=270), facts)
        labels = TASK.targets(columns, arrays, facts)["labels"]
        assert isinstance(labels, Ragged)
        tags = [facts["labels"][label] for label in labels.values if label != UNLABELLED]
        assert tags == ["O", "O", "B-x", "I-x", "B-x", "O", "B-y"]
        assert len(labels.values) > len(tags)


def test_targets_of_texts_without_words(make_encoder: Any) -> None:
    columns: Columns = {"text": ["Anna", " ", ""], "entities": [[one(0, 4)], [], []]}
    facts = TASK.learn([columns])
    for kind in ("wordpiece", "bpe"):
        arrays = TASK.encode(columns, make_encoder(kind, ["Anna"]), facts)
        labels = TASK.targets(columns, arrays, facts)["labels"]
        assert isinstance(labels, Ragged)
        assert [set(labels[row]) - {-100} for row in range(3)] == [{1}, set(), set()]
        outputs = {"logits": Ragged(np.zeros((len(labels.values), 3)), labels.offsets)}
        assert [one["entities"] for one in TASK.decode(columns, arrays, outputs, facts)] == [[], [], []]


def test_what_was_found_stands_beside_the_code() -> None:
    [found] = TASK.refusals({"text": ["Anna"], "entities": [[{"start": 0, "end": 9, "type": "x"}]]})
    assert found == "entity-outside-text: {'start': 0, 'end': 9, 'type': 'x'} in a text of 4 characters"
