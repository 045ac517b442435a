"""Attributions of a net so simple that they can be worked out by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hft_core import Net, Part, PluginError
from hft_explain import attribution
from hft_explain.attribution import Subject, integrated_gradients, occlusion
from hft_explain.targets import log_odds

IDS = np.array([[0, 3, 4, 1, 5]])
OWN = np.array([False, True, True, False, True])
WEIGHTS = torch.tensor([0.0, 5.0, 0.5, 2.0, -1.0, 0.25])
NOTHING = 2
"""The token that stands for none."""


class Sum(Net):
    """Adds up a number for each token; `power` of the sum is the only logit. `passes`: how often tokens are embedded."""

    def __init__(self, power: int = 1, passes: int = 1) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(6, 1)
        self.table.weight.data = WEIGHTS[:, None].clone()
        self.power, self.passes = power, passes

    def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
        for _ in range(self.passes):
            vectors = self.table(arrays["input_ids"])
        return {"logits": vectors.sum(dim=1) ** self.power}

    def parts(self) -> list[Part]:
        return [Part("embeddings", 0.0, "embeddings", self.table)]

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    def embedding(self) -> torch.nn.Module | None:
        return self.table if self.passes else None


def subject(**net: Any) -> Subject:
    return Subject(Sum(**net), "main", {"input_ids": IDS}, lambda outputs: outputs["logits"][:, 0], OWN)


@pytest.mark.parametrize("baseline", [NOTHING, None])
def test_tokens_of_a_sum_count_what_they_add(baseline: int | None) -> None:
    found = integrated_gradients(subject(), baseline, steps=4)
    nothing = 0.0 if baseline is None else 0.5
    assert found.tokens.tolist() == pytest.approx([0, 2 - nothing, -1 - nothing, 0, 0.25 - nothing], abs=1e-6)
    assert (found.score, found.baseline) == pytest.approx((6.25, 5 + 3 * nothing))
    assert found.error == pytest.approx(0, abs=1e-5)


def test_occlusion_tells_what_is_lost() -> None:
    found = occlusion(subject(), NOTHING, window=1)
    assert found.tokens.tolist() == pytest.approx([0, 1.5, -1.5, 0, -0.25])
    assert (found.score, found.baseline, found.error) == (pytest.approx(6.25), pytest.approx(6.5), None)


def test_windows_share_out_what_is_lost() -> None:
    """Token 1 is in the windows (0, 1) and (1, 2), whose losses are 1.5 and 0."""
    found = occlusion(subject(), NOTHING, window=2)
    assert found.tokens.tolist() == pytest.approx([1.5, 0.75, -0.75, -0.875, -0.25])
    assert occlusion(subject(), NOTHING, window=9).tokens.tolist() == pytest.approx([-0.25] * 5)


def test_integrated_gradients_of_a_square_are_complete() -> None:
    """Of a square of a sum each token gets its share of the difference."""
    found = integrated_gradients(subject(power=2), None, steps=20)
    difference = 6.25**2 - 5.0**2
    assert found.tokens.tolist() == pytest.approx(
        [0, difference * 2 / 1.25, -difference / 1.25, 0, difference * 0.2], rel=1e-4
    )
    assert found.error == pytest.approx(0, abs=1e-4)


def test_steps_are_doubled_until_the_sum_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cliff(Sum):
        """A step from 0 to 1 on the way, so steep that few points see it."""

        def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": torch.sigmoid((super().forward(head, **arrays)["logits"] - 5.7) * 200)}

    def error() -> float:
        cliff = Subject(Cliff(), "main", {"input_ids": IDS}, lambda outputs: outputs["logits"][:, 0], OWN)
        found = integrated_gradients(cliff, None, steps=2).error
        assert found is not None
        return abs(found)

    assert error() <= attribution.TOLERANCE
    monkeypatch.setattr(attribution, "_DOUBLINGS", 0)
    assert error() > 0.5


def test_special_tokens_keep_their_places() -> None:
    one = subject()
    assert one.without(NOTHING).tolist() == [[0, NOTHING, NOTHING, 1, NOTHING]]


def test_net_without_a_single_embedding_is_refused() -> None:
    with pytest.raises(PluginError, match="goes 2 times through"):
        integrated_gradients(subject(passes=2), NOTHING, steps=2)

    class Bare(Sum):
        def embedding(self) -> None:
            return None

    bare = Subject(Bare(), "main", {"input_ids": IDS}, lambda outputs: outputs["logits"][:, 0], OWN)
    with pytest.raises(PluginError, match="method: occlusion"):
        integrated_gradients(bare, NOTHING, steps=2)
    assert occlusion(bare, NOTHING, window=1).tokens[1] == pytest.approx(1.5)


def test_log_odds_are_those_of_one_class_against_all_others() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    probability = logits.softmax(dim=1)
    for index in range(3):
        expected = (probability[:, index] / (1 - probability[:, index])).log()
        assert log_odds(logits, index).tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    moved = [log_odds(logits + shift, 0).tolist() for shift in (0.0, 7.0)]
    assert moved[0] == pytest.approx(moved[1], abs=1e-5)
    for left, right in itertools.pairwise([log_odds(logits * scale, 0)[0].item() for scale in (1, 2, 4)]):
        assert right > left
