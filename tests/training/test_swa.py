"""SWA: the stage ends with the plain mean of the weights from its start on; training itself does not notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hft_core import RecipeError
from hft_core.training.loop import train
from hft_plugins.techniques.swa import SWA


class Recorder(SWA):
    """Notes the weights after each step, and those that evaluation sees."""

    def after_step(self, net: Any, state: Any, step: int) -> None:
        super().after_step(net, state, step)
        Recorder.seen.append({name: value.detach().clone() for name, value in net.named_parameters()})  # type: ignore[attr-defined]


def recorded(bench: Any, make_rows: Any, start: float, **settings: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The end of a stage of 8 steps, and the weights after each."""
    Recorder.seen = []  # type: ignore[attr-defined]  # for the test to look at
    parts = (bench.objective("classification"), make_rows(64))
    result = train(bench.job(parts, techniques=[Recorder(type="swa", start=start)], epochs=2, **settings))
    return dict(result.net.named_parameters()), Recorder.seen  # type: ignore[attr-defined]


@pytest.mark.parametrize(("start", "averaged"), [(0.0, 8), (0.5, 4), (0.7, 3), (0.75, 2)])
def test_the_stage_ends_with_the_mean_of_its_last_steps(bert: Any, make_rows: Any, start: float, averaged: int) -> None:
    end, seen = recorded(bert, make_rows, start)
    assert len(seen) == 8
    for name, value in end.items():
        expected = torch.stack([weights[name] for weights in seen[-averaged:]]).double().mean(0)
        torch.testing.assert_close(value.detach().double(), expected, rtol=1e-5, atol=1e-7)
    assert any(not torch.equal(value, seen[-1][name]) for name, value in end.items())


def test_averaging_does_not_change_training(bert: Any, make_rows: Any) -> None:
    plain = train(bert.job((bert.objective("classification"), make_rows(64)), epochs=2))
    _, seen = recorded(bert, make_rows, 0.25, validation=make_rows(110, seed=4))
    assert all(torch.equal(value, seen[-1][name]) for name, value in plain.net.named_parameters())


def test_a_stage_too_short_for_an_average_is_an_error(bert: Any, make_rows: Any) -> None:
    with pytest.raises(
        RecipeError, match=r"`start: 0.9` the average of this stage of 8 steps would be its last weights"
    ):
        recorded(bert, make_rows, 0.9)


@pytest.mark.parametrize("crashes", [(2,), (4,), (5, 7)])
def test_the_mean_survives_a_crash(bert: Any, make_rows: Any, survives: Any, crashes: tuple[int, ...]) -> None:
    def made(work: Path) -> Any:
        parts = (bert.objective("classification"), make_rows(64))
        swa = SWA(type="swa", start=0.5)
        return bert.job(
            parts, work=work, techniques=[swa], epochs=2, checkpoint_minutes=0, validation=make_rows(110, seed=4)
        )

    survives(made, *crashes)
