"""The study without training: the same trials whatever is killed, none lost or doubled, and what Optuna's tools see."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core.recipe.search import Dimension
from hft_core.search.database import sqlite_url
from hft_core.search.study import Attempt, Entry, Study
from hft_core.search.summary import FORMAT

SPACE = {
    "lr": Dimension(low=1e-5, high=1e-1, log=True),
    "batch": Dimension(choices=[8, 16, 32]),
    "layers": Dimension(low=1, high=6),
    "source": Dimension(choices=[{"scratch": "微"}, {"scratch": "mini", "size": 3}]),
    "rate": Dimension(low=0.0, high=1.0, step=0.25),
}
OWN = {"lr": 1e-4, "batch": 16, "layers": 2, "source": {"scratch": "微"}, "rate": 0.5}


def opened(
    file: Path, own: Any = None, prune: str | None = "median", space: dict[str, Dimension] = SPACE, **changes: Any
) -> Study:
    identity: dict[str, Any] = {"key": "same", "space": {}, "metric": "f1", "prune": prune, "plugins": {}, "recipe": {}}
    settings = {"own": own, "greater_is_better": True, "prune": prune, "seed": 3} | changes
    return Study(sqlite_url(file), "study", space, identity, **settings)


def figure(values: Any, epoch: int) -> float:
    """A curve that is best near lr 1e-3, batch 16, and rises with the epochs."""
    peak = math.exp(-abs(math.log10(values["lr"]) + 3)) * (1.1 if values["batch"] == 16 else 1.0)
    return round(peak * (1 - 0.5**epoch) + 0.01 * values["layers"], 6)


class Killed(Exception):
    pass


def carry_on(study: Study, trials: int, maybe: Callable[[], None]) -> None:
    """One worker, as `Search` does it; `maybe` kills it or not, between any two writes."""
    study.take_up(True, set())
    while True:
        entries = study.entries()
        if len(entries) >= trials and not any(entry.state == "waiting" for entry in entries):
            return
        attempt = study.begin()
        maybe()
        if study.hopeless(attempt):
            study.end(attempt, "pruned")
            continue
        finish(study, attempt, maybe)


def finish(study: Study, attempt: Attempt, maybe: Callable[[], None]) -> None:
    if attempt.values["lr"] > 0.05:
        study.end(attempt, "bad", reason="diverged")
        return
    for epoch in range(1, 5):
        maybe()
        if epoch not in attempt.known and not study.report(attempt, epoch, figure(attempt.values, epoch)):
            maybe()
            study.end(attempt, "pruned")
            return
    maybe()
    study.end(attempt, "complete", figure(attempt.values, 4))


def what(entries: list[Entry]) -> list[Any]:
    return [(entry.number, entry.state, entry.values, entry.figure, dict(entry.curve)) for entry in entries]


@pytest.mark.slow
def test_kills_change_nothing(tmp_path: Path) -> None:
    trials = 20
    whole = opened(tmp_path / "whole.db")
    carry_on(whole, trials, lambda: None)
    draw, kills = random.Random(0), 0

    def maybe() -> None:
        if draw.random() < 0.2:
            raise Killed

    while True:
        study = opened(tmp_path / "killed.db")
        try:
            carry_on(study, trials, maybe)
            break
        except Killed:
            kills += 1
    assert kills >= 8
    assert what(study.entries()) == what(whole.entries())
    assert study.best().number == whole.best().number  # type: ignore[union-attr]
    assert len(whole.entries()) == trials
    assert {entry.state for entry in whole.entries()} == {"complete", "pruned", "bad"}


@pytest.mark.slow
def test_killed_between_the_values_of_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna writes one value after the other; what is missing is drawn as it would have been."""
    whole = opened(tmp_path / "whole.db")
    carry_on(whole, 14, lambda: None)
    study = opened(tmp_path / "killed.db")
    carry_on(study, 13, lambda: None)
    storage = study._study._storage
    write, written = storage.set_trial_param, list[str]()

    def dies(trial_id: int, name: str, *rest: Any) -> None:
        if len(written) == 2:
            raise Killed
        written.append(name)
        write(trial_id, name, *rest)

    monkeypatch.setattr(storage, "set_trial_param", dies)
    with pytest.raises(Killed):
        study.begin()
    again = opened(tmp_path / "killed.db")
    assert len(again.entries()[13].values) == 2
    carry_on(again, 14, lambda: None)
    assert what(again.entries()) == what(whole.entries())


def test_the_recipe_as_written_comes_first(tmp_path: Path) -> None:
    study = opened(tmp_path / "own.db", own=OWN)
    first, second = study.begin(), study.begin()
    assert (first.number, first.values) == (0, OWN)
    assert (second.number, second.values["lr"] != OWN["lr"]) == (1, True)


@pytest.mark.slow
def test_values_are_those_of_the_space(tmp_path: Path) -> None:
    study = opened(tmp_path / "values.db", prune=None)
    carry_on(study, 24, lambda: None)
    for entry in study.entries():
        assert 1e-5 <= entry.values["lr"] <= 1e-1
        assert entry.values["lr"] == float(f"{entry.values['lr']:.6g}")
        assert entry.values["batch"] in (8, 16, 32)
        assert isinstance(entry.values["layers"], int)
        assert entry.values["source"] in SPACE["source"].choices  # type: ignore[operator]
        assert entry.values["rate"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    best = study.best()
    assert best is not None
    assert best.figure == max(entry.figure or 0 for entry in study.entries())
    importance = study.importance()
    assert sum(importance.values()) == pytest.approx(1)
    assert max(importance, key=lambda path: importance[path]) == "lr"


GRIDS: list[dict[str, Dimension]] = [
    {"lr": Dimension(choices=[1e-5, 2e-5, 3e-5, 5e-5]), "batch": Dimension(choices=[8, 16, {"微": 1}])},
    {"epochs": Dimension(low=1, high=12)},
    {"rate": Dimension(low=0.1, high=0.62, step=0.1), "layers": Dimension(low=2, high=7, step=3)},
]
"""Of twelve points each."""


@pytest.mark.parametrize("space", GRIDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_point_is_tried_twice(tmp_path: Path, space: dict[str, Dimension], seed: int) -> None:
    """A space of twelve points takes twelve trials, of which the sampler loves the first."""
    study = opened(tmp_path / "grid.db", space=space, seed=seed)
    points = []
    for number in range(12):
        assert not study.exhausted()
        attempt = study.begin()
        points.append(attempt.values)
        study.end(attempt, "complete", 1.0 / (number + 1))
    assert study.exhausted()
    assert len({str(point) for point in points}) == 12


def test_what_has_failed_may_be_tried_again(tmp_path: Path) -> None:
    study = opened(tmp_path / "grid.db", space={"batch": Dimension(choices=[8, 16])})
    study.end(study.begin(), "complete", 0.5)
    failed = study.begin()
    study.end(failed, "failed", reason="the disk")
    assert not study.exhausted()
    assert study.begin().values == failed.values


def test_kills_change_nothing_in_a_space_of_few_points(tmp_path: Path) -> None:
    found = []
    for name, killed in (("whole", False), ("killed", True)):
        study = opened(tmp_path / f"{name}.db", space=GRIDS[0])
        for number in range(12):
            attempt = study.begin()
            if killed and number in (1, 6, 11):
                study = opened(tmp_path / f"{name}.db", space=GRIDS[0])
                study.take_up(True, set())
                attempt = study.begin()
            study.end(attempt, "complete", 1.0 / (number + 1))
        found.append(what(study.entries()))
    assert found[0] == found[1]


def test_a_tie_goes_to_the_first_and_less_may_be_better(tmp_path: Path) -> None:
    study = opened(tmp_path / "tie.db", greater_is_better=False)
    for value in (0.5, 0.3, 0.3, 0.4):
        study.end(study.begin(), "complete", value)
    assert study.best().number == 1  # type: ignore[union-attr]


@pytest.mark.slow
def test_optunas_own_tools_read_it(tmp_path: Path) -> None:
    import optuna

    carry_on(opened(tmp_path / "study.db"), 12, lambda: None)
    study = optuna.load_study(storage=sqlite_url(tmp_path / "study.db"), study_name="study")
    states = {trial.state for trial in study.trials}
    assert states <= {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    assert study.best_trial.params["lr"] == study.best_params["lr"]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.trials[0].intermediate_values
    assert len(study.trials_dataframe()) == 12


def test_a_dead_search_of_another_machine_is_found_by_its_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where several machines share a database: by this machine's clock, whatever the other's says."""
    from hft_core.search import study as module

    here, there = opened(tmp_path / "shared.db"), opened(tmp_path / "shared.db")
    living, dead = there.begin(), there.begin()
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module.time, "time", lambda: 1e9 + clock[0] / 7)  # a clock that goes wrong
    assert here.take_up(False, set()) == 2
    for _ in range(20):
        clock[0] += module.BEATS
        there.beat(iter([living]))
        others = here.take_up(False, set())
    assert others == 1
    assert [entry.state for entry in here.entries()] == ["running", "waiting"]

    def nothing_counts() -> bool:
        """It was only slow: what it says now changes nothing, and ends nothing."""
        before = [entry for entry in here.entries() if entry.number == dead.number]
        there.beat(iter([dead]))
        there.give_back(dead, died=True)
        went_on = there.report(dead, 1, 0.9) or there.end(dead, "complete", 0.9, seconds=3.0)
        return not went_on and before == [entry for entry in here.entries() if entry.number == dead.number]

    assert nothing_counts(), "while it waits to be taken up"
    taken = here.begin()
    assert (taken.number, taken.values) == (dead.number, dead.values)
    assert nothing_counts(), "while another works on it"
    assert here.end(taken, "complete", 0.5)
    assert nothing_counts(), "when another has ended it"
    assert here.entries()[dead.number].figure == 0.5


def test_a_database_that_goes_away(tmp_path: Path) -> None:
    from hft_core.errors import DiskError

    study = opened(tmp_path / "gone.db")
    study.begin()
    (tmp_path / "gone.db").unlink()
    with pytest.raises(DiskError, match=r"database .*gone\.db is gone; what it has trained is kept"):
        study.entries()


def test_the_format_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text("utf-8")
    assert f'"format": {FORMAT}' in page or f"`format` ({FORMAT})" in page


def test_the_first_trial_has_the_recipes_values_to_the_last_digit(tmp_path: Path) -> None:
    study = opened(tmp_path / "exact.db", OWN | {"lr": 2.3456789e-5})
    assert study.begin().values["lr"] == 2.3456789e-5
    drawn = [study.begin().values["lr"] for _ in range(3)]
    assert drawn == [float(f"{value:.6g}") for value in drawn]
