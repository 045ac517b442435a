"""The fitted head: scikit-learn's logistic regression on the embeddings, over rows that each count once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from hft_core import Context, HeadSpec, Loss, Net, RecipeError
from hft_fewshot.fitted import FittedHead
from hft_fewshot.head import EmbeddedClassifier
from hft_fewshot.task import EMBEDDED

from .conftest import preprocessor


class Words(Net):
    """Vectors of words under the head; dropout, so that evaluation and training differ."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vectors = torch.nn.Embedding(40, 8)
        self.dropout = torch.nn.Dropout(0.5)
        self.head = EmbeddedClassifier(8, labels)

    def forward(self, head: str, input_ids: Any, attention_mask: Any) -> dict[str, torch.Tensor]:
        assert head == "main"
        found: dict[str, torch.Tensor] = self.head(self.dropout(self.vectors(input_ids)), attention_mask)
        return found

    def parts(self) -> Any:
        raise NotImplementedError

    def save(self, folder: Any) -> None:
        raise NotImplementedError


TEXTS = ["it was great", "bad film", "很好", "很差", "a good film", "it was bad"]


def prepared(labels: int, penalty: float = 1.0) -> tuple[FittedHead, Words, Any]:
    technique = FittedHead(type="fitted-head", penalty=penalty)
    net = Words(labels).train()
    heads = {"main": HeadSpec(EMBEDDED, size=labels)}
    return technique, net, technique.prepare(net, Context(1, 0, heads, preprocessor()))


def batch(texts: list[str], labels: list[int]) -> dict[str, Any]:
    made = preprocessor()
    padded = made.pad(made.encode(texts))
    return {name: torch.from_numpy(array) for name, array in padded.items()} | {"labels": torch.tensor(labels)}


def embedded(net: Words, texts: list[str]) -> Any:
    arrays = batch(texts, [0] * len(texts))
    arrays.pop("labels")
    return net("main", **arrays)["embedding"].detach().numpy()


def compute(batch: dict[str, Any]) -> Loss:
    return Loss(torch.zeros(()))


@pytest.mark.parametrize(("labels", "classes"), [([0, 1, 0, 1, 0, 1], 2), ([0, 1, 2, 0, 1, 2], 3)])
def test_it_is_scikit_learns(labels: list[int], classes: int) -> None:
    technique, net, state = prepared(classes, penalty=0.1)
    technique.loss(compute, batch(TEXTS[:4], labels[:4]), state)
    technique.loss(compute, batch(TEXTS[4:], labels[4:]), state)
    technique.loss(compute, batch(TEXTS[:2], labels[:2]), state)  # the next epoch's, which are known
    assert len(state.rows) == 6
    with technique.averaged(net, state):
        assert net.training
        net.eval()
        arrays = batch(TEXTS, labels)
        arrays.pop("labels")
        found = net("main", **arrays)["logits"].softmax(-1).detach().numpy()
    vectors = embedded(net, TEXTS)
    wanted = LogisticRegression(C=10.0, max_iter=1000).fit(vectors, labels).predict_proba(vectors)
    assert np.allclose(found, wanted, atol=1e-3)


def test_a_label_without_rows_is_never_given() -> None:
    technique, net, state = prepared(3)
    technique.loss(compute, batch(TEXTS, [0, 2, 0, 2, 0, 2]), state)
    with technique.averaged(net, state):
        net.eval()
        arrays = batch(TEXTS, [0] * 6)
        arrays.pop("labels")
        assert 1 not in net("main", **arrays)["logits"].argmax(1)


def test_with_one_label_so_far_nothing_is_fitted() -> None:
    technique, net, state = prepared(2)
    before = net.head.linear.weight.detach().clone()
    technique.loss(compute, batch(TEXTS[:2], [1, 1]), state)
    with technique.averaged(net, state):
        assert net.head.linear.weight.equal(before)


def test_its_state_comes_back() -> None:
    technique, _, state = prepared(2)
    assert technique.tensors(state) == {}
    technique.loss(compute, batch(TEXTS, [0, 1] * 3), state)
    _, _, other = prepared(2)
    technique.load(other, technique.tensors(state))
    assert other.rows.keys() == state.rows.keys()
    technique.load(other, {})
    assert not other.rows


def test_a_head_without_an_embedding_is_refused() -> None:
    heads = {"main": HeadSpec("sequence-classification", size=2)}
    with pytest.raises(RecipeError, match="the heads here are main"):
        FittedHead(type="fitted-head").prepare(Words(2), Context(1, 0, heads, preprocessor()))
