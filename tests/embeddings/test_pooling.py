"""One vector per text, whatever the padding; the same as sentence-transformers makes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hft_core import pooled
from hft_plugins.embeddings.pooling import Pooled

STATES = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
RIGHT = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
LEFT, HOLE = RIGHT.flip(1), torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 1, 0, 1, 0]])


@pytest.mark.parametrize("mask", [RIGHT, LEFT, HOLE], ids=["right", "left", "hole"])
def test_only_real_tokens_count(mask: Any) -> None:
    for row, (states, real) in enumerate(zip(STATES, mask.bool(), strict=True)):
        kept = states[real]
        wanted = {"mean": kept.mean(0), "max": kept.amax(0), "first": kept[0], "last": kept[-1]}
        for how, vector in wanted.items():
            torch.testing.assert_close(pooled(STATES, mask, how)[row], vector)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ours", "theirs"), [("mean", "mean"), ("first", "cls"), ("max", "max"), ("last", "lasttoken")]
)
def test_as_sentence_transformers_does(ours: Any, theirs: str) -> None:
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules", reason="the reference")
    reference = modules.Pooling(embedding_dimension=4, pooling_mode=theirs)
    wanted = reference({"token_embeddings": STATES, "attention_mask": RIGHT})["sentence_embedding"]
    torch.testing.assert_close(pooled(STATES, RIGHT, ours), wanted)


def test_vectors_of_length_1_if_asked_for() -> None:
    plain = Pooled("mean", False, 4)(STATES, RIGHT)["embedding"]
    unit = Pooled("mean", True, 4)(STATES, RIGHT)["embedding"]
    torch.testing.assert_close(unit, plain / plain.norm(dim=1, keepdim=True))
    assert Pooled("mean", True, 4)(STATES.bfloat16(), RIGHT)["embedding"].dtype == torch.float32
