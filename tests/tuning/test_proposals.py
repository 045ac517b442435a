"""What tuning tries next, by hand-made findings and curves."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hft_core.evidence.diagnosis import Finding, Seen, StageSeen, TaskSeen
from hft_core.tuning.proposals import Proposal, proposals
from tests.seen import history, stage, task, validated

LR, EPOCHS, BATCH = "stages.0.optimizer.lr", "stages.0.epochs", "stages.0.batch_size"


def proposed(
    stages: StageSeen | None = None,
    tasks: TaskSeen | None = None,
    findings: Sequence[Finding] = (),
    kept: Sequence[str] = (),
    batch_size: int = 16,
    early_stopping: int | None = None,
) -> list[Proposal]:
    settings: Any = SimpleNamespace(batch_size=batch_size, early_stopping=early_stopping)
    return list(proposals(findings, Seen([stages or stage()], [tasks or task()]), settings, kept))


def names(found: Sequence[Proposal]) -> list[str]:
    return [one.name for one in found]


def test_what_was_found_comes_first() -> None:
    noise = Finding("label-noise", "main", "seen", "do", {"stages.0.objectives.0": {"label_smoothing": 0.1}})
    nothing = Finding("truncated-texts", "main", "seen", "choose another model")
    found = proposed(findings=[nothing, noise])
    assert found[0] == Proposal("label-noise", "main", "seen", noise.changes)
    assert "truncated-texts" not in names(found)


@pytest.mark.parametrize(
    ("figures", "first"),
    [([0.6, 0.7, 0.8], "higher-rate"), ([0.6, 0.8, 0.8], "lower-rate"), ([0.6, 0.8, 0.7], "lower-rate")],
)
def test_the_curve_says_which_way(figures: list[float], first: str) -> None:
    """Best at the end: training did too little; earlier: too much."""
    found = proposed(stage(validated(figures)))
    assert sorted(names(found)) == ["higher-rate", "lower-rate", "more-epochs", "smaller-batch"]
    assert found[0].name == first
    assert "was best after epoch" in found[0].seen


def test_a_loss_is_best_where_it_is_lowest() -> None:
    of_loss = task(metric="accuracy", greater_is_better=False, linear={}, constant=None)
    assert proposed(stage(validated([0.9, 0.5, 0.3])), of_loss)[0].name == "higher-rate"
    assert proposed(stage(validated([0.9, 0.3, 0.5])), of_loss)[0].name == "lower-rate"


def test_the_size_of_steps() -> None:
    changes = {one.name: dict(one.changes) for one in proposed(stage(validated([0.6, 0.7])))}
    assert changes == {
        "higher-rate": {LR: 0.0032},
        "lower-rate": {LR: 0.00032},
        "more-epochs": {EPOCHS: 20},
        "smaller-batch": {BATCH: 8},
    }


def test_a_small_batch_is_not_halved() -> None:
    assert "smaller-batch" not in names(proposed(batch_size=4))


def test_a_stage_that_stops_early_gets_no_more_epochs() -> None:
    assert "more-epochs" not in names(proposed(early_stopping=2))


@pytest.mark.parametrize(("moved", "rates"), [(0.004, [0.01, 0.1, 0.0001]), (2.0, [0.0001, 1e-05, 0.01])])
def test_where_nothing_was_learned_steps_are_long(moved: float, rates: list[float]) -> None:
    """Weights that stayed where they were want a higher rate, weights that went far a lower one."""
    found = proposed(stage(history(0.69, 0.69, moved)), task(figures=[0.5]))
    assert [one.changes[LR] for one in found if LR in one.changes] == rates
    assert LR in found[0].changes
    assert "the same prediction for every row has 0.5" in found[0].seen


def test_an_optimizer_that_is_the_default_is_written_out() -> None:
    found = proposed(stage(validated([0.6, 0.7]), optimizer_written=False))
    assert found[0].changes == {"stages.0.optimizer": {"type": "adamw", "lr": 0.0032}}


@pytest.mark.parametrize(
    ("kept", "first", "barred"),
    [
        (["higher-rate"], "higher-rate", "lower-rate"),
        (["learning-rate-too-low"], "higher-rate", "lower-rate"),
        (["diverged"], "more-epochs", "higher-rate"),
        (["one-class"], "more-epochs", "higher-rate"),
        (["lower-rate", "more-epochs"], "more-epochs", "higher-rate"),
    ],
)
def test_what_helped_is_tried_again_and_not_undone(kept: list[str], first: str, barred: str) -> None:
    found = proposed(stage(validated([0.6, 0.7, 0.8])), kept=kept)
    assert names(found)[0] == first
    assert barred not in names(found)


def test_a_task_that_no_stage_trains_has_nothing_to_change() -> None:
    nothing: list[Any] = proposed(tasks=task(stage=None))
    assert nothing == []
