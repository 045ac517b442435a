"""How long a stage trains where the recipe does not say it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hft_core.training.setup import epochs_of, steps_of


@pytest.mark.parametrize(
    ("kind", "asked", "per_epoch", "epochs"),
    [
        ("finetune", None, 100, 10),
        ("finetune", None, 30, 10),  # 300 steps
        ("finetune", None, 29, 11),
        ("finetune", None, 15, 20),
        ("finetune", None, 10, 30),
        ("finetune", None, 1, 30),  # 16 rows, say: 30 steps, for each epoch is validated
        ("finetune", 3, 1, 3),
        ("pretrain", None, 1, 5),
        ("pretrain", 2, 1, 2),
    ],
)
def test_few_rows_are_gone_through_more_often(kind: str, asked: float | None, per_epoch: int, epochs: float) -> None:
    order = SimpleNamespace(steps=lambda passes: per_epoch * passes)
    job: Any = SimpleNamespace(stage=SimpleNamespace(stage=kind, epochs=asked), streams=[SimpleNamespace(order=order)])
    assert epochs_of(job) == epochs
    assert steps_of(job) == per_epoch * epochs
