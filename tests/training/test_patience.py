"""Early stopping and the plateau: what validations without a better figure lead to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hft_core import RecipeError
from hft_core.recipe.model import Plateau
from hft_core.training import loop
from hft_core.training.loop import train


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give ``scripted(figures)``: the figure of validation i is `figures[i]`, the last one from there on."""

    def script(figures: Sequence[float]) -> None:
        def score(job: Any, found: dict[str, float]) -> float:
            stage_steps = int(found.pop("epoch"))
            return figures[min(stage_steps, len(figures)) - 1]

        plain = loop.measure

        def measure(net: Any, job: Any, device: Any) -> dict[str, float]:
            job.epochs_done = getattr(job, "epochs_done", 0) + 1
            return plain(net, job, device) | {"epoch": float(job.epochs_done)}

        monkeypatch.setattr(loop, "measure", measure)
        monkeypatch.setattr(loop, "score", score)

    return script


def job(bench: Any, make_rows: Any, **settings: Any) -> Any:
    part = (bench.objective("classification"), make_rows(32))
    return bench.job(part, validation=make_rows(110, seed=4), **({"epochs": 8} | settings))


def rates(result: Any) -> list[float]:
    return [point["lr"] for point in result.history if "lr" in point]


def test_a_stage_ends_after_so_many_validations_without_a_better_figure(
    bert: Any, make_rows: Any, scripted: Any
) -> None:
    scripted([0.5, 0.6, 0.6, 0.55, 0.9])
    result = train(job(bert, make_rows, early_stopping=2))
    assert result.steps == 8  # two steps an epoch; the third and fourth epoch were no better than the second
    assert result.best_step == 4
    assert any("ended at step 8 of 16: no better figure in 2 validations" in note for note in result.notes)


def test_a_better_figure_starts_the_count_anew(bert: Any, make_rows: Any, scripted: Any) -> None:
    scripted([0.5, 0.4, 0.6, 0.5, 0.7, 0.6, 0.8, 0.7])
    result = train(job(bert, make_rows, early_stopping=2))
    assert result.steps == 16
    assert result.best_step == 14
    assert not any("ended" in note for note in result.notes)


def test_the_plateau_lowers_the_rate_each_time_the_figure_stands_still(
    bert: Any, make_rows: Any, scripted: Any
) -> None:
    scripted([0.5, 0.5, 0.5, 0.6, 0.5, 0.5, 0.5, 0.5])
    result = train(job(bert, make_rows, plateau=Plateau(patience=2, factor=0.1)))
    assert rates(result) == pytest.approx([0.1] * 6 + [0.01] * 6 + [0.001] * 4)


def test_both_go_on_as_they_were_after_a_kill(bert: Any, make_rows: Any, survives: Any) -> None:
    settings = {"early_stopping": 3, "plateau": Plateau(patience=1), "epochs": 12, "checkpoint_minutes": 0}
    part = (bert.objective("classification"), make_rows(48))
    validation = make_rows(110, seed=4)
    whole = survives(lambda work: bert.job(part, work=work, validation=validation, **settings), 4, 11)
    assert len(set(rates(whole))) > 1, "the rate has to fall for this to show anything"


@pytest.mark.parametrize("asked", [{"early_stopping": 1}, {"plateau": Plateau()}], ids=["early_stopping", "plateau"])
def test_without_a_figure_to_watch_they_are_refused_before_the_first_step(
    bert: Any, make_rows: Any, asked: dict[str, Any]
) -> None:
    part = (bert.objective("classification"), make_rows(32))
    with pytest.raises(RecipeError, match=rf"`{next(iter(asked))}` watches the figure .* 100 validation rows"):
        train(bert.job(part, validation=make_rows(50), **asked))
