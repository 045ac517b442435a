"""`hft search` from recipe to bundle, and through kills: the same trials, none lost or doubled, what is shared made once."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hft_core.search import winner
from hft_core.search.winner import write_best
from tests.plugin_files import SHOUT
from tests.repeats import times

pytestmark = pytest.mark.slow
NEVER = 1500.0
"""Seconds after which a small search counts as stuck."""


class Outcome(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


def found(scratch: Any) -> dict[str, Any]:
    return json.loads((scratch.folder / "runs" / "searched.search" / "search.json").read_text("utf-8"))  # type: ignore[no-any-return]


@pytest.fixture
def hft(start: Callable[..., Any]) -> Callable[..., Outcome]:
    """As everywhere, but with time for a whole search."""

    def run(*arguments: object, **options: Any) -> Outcome:
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=NEVER)
        return Outcome(process.returncode, out, err)

    return run


def trials(scratch: Any) -> list[Any]:
    """What a search has found out, but for how long it took."""
    names = ("number", "state", "figure", "values", "curve")
    return [{name: trial[name] for name in names} for trial in found(scratch)["trials"]]


def objects(store: Path, *names: str) -> list[Path]:
    """Outputs that have all of these files."""
    return [folder for folder in (store / "objects").iterdir() if all((folder / name).is_file() for name in names)]


def test_from_recipe_to_bundle(searched: Any, hft: Callable[..., Outcome], tmp_path: Path) -> None:
    searched.recipe["export"] = [{"type": "onnx"}]
    recipe = searched.write()
    outcome = hft("search", recipe, "--json", cwd=searched.folder)
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert [trial["state"] for trial in said["trials"]] == ["complete"] * 3
    assert said["trials"][0]["values"] == {"stages.1.optimizer.lr": 0.001, "stages.1.batch_size": 16}
    assert said["written"] == said["trials"][0]["figure"]
    best = said["trials"][said["best"]]
    assert best["figure"] == max(trial["figure"] for trial in said["trials"])
    assert best["figure"] == max(figure for _, figure in best["curve"]), "scored at its best epoch"
    store = tmp_path / "store"
    distinct = len({json.dumps(trial["values"]) for trial in said["trials"]})
    assert len(objects(store, "stage.json")) == 1 + distinct, "the pretrain stage is trained once"
    assert len(objects(store, "validation.json")) >= distinct
    assert len(objects(store, "validation.json", "test.json", "facts.json")) == 1, (
        "the test is scored for the best alone"
    )
    assert said["cost"]["trained"] == 1 + distinct

    run = searched.folder / "runs" / "searched-best"
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert report["metrics"]["validation"]["accuracy"]["value"] == pytest.approx(best["figure"])
    assert report["scored"]["earlier"] == 0
    assert report["search"]["best"] == said["best"]
    for page in (run / "report.html", searched.folder / "runs" / "searched.search" / "search.html"):
        text = page.read_text("utf-8")
        assert "The recipe as written, trial 0" in text or said["best"] == 0
        assert 'aria-label="Trials side by side"' in text
        assert "<script" not in text
    assert hft("predict", run / "bundle", "a good film").code == 0

    again = hft("search", recipe)
    assert again.code == 0, again.err
    assert "3 are there already" in again.err
    assert len(objects(store, "stage.json")) == 1 + distinct
    assert len(list((store / "scored").rglob("*.json"))) == 1
    assert trials(searched) == [{name: trial[name] for name in trials(searched)[0]} for trial in said["trials"]]

    # Without its database the search makes the same trials again, out of the store.
    (store / "search" / "searched.db").unlink()
    before = trials(searched)
    lost = hft("search", recipe)
    assert lost.code == 0, lost.err
    assert trials(searched) == before
    assert len(objects(store, "stage.json")) == 1 + distinct


def test_killed_at_random_moments(
    make_searched: Callable[[Path], Any], start: Callable[..., Any], tmp_path: Path
) -> None:
    """Two SIGKILLs of the search (with HFT_THOROUGH ten): the same trials and the same best as of one that was left alone."""
    whole, killed = make_searched(tmp_path / "whole"), make_searched(tmp_path / "killed")
    count = times(5, 7)
    for scratch in (whole, killed):
        scratch.recipe["search"]["trials"] = count
    stores = [str(tmp_path / name) for name in ("store", "store-of-killed")]
    began = time.monotonic()
    process = start("search", whole.write(), HFT_STORE=stores[0])
    _, err = process.communicate(timeout=NEVER)
    assert process.returncode == 0, err
    of_one = (time.monotonic() - began) / (count + 1)  # a trial; the last run counts as one

    draw, recipe = random.Random(4), killed.write()
    for _ in range(times(2, 10)):
        process = start("search", recipe, HFT_STORE=stores[1])
        time.sleep(of_one * draw.uniform(0.1, 1.8))
        assert process.poll() is None, "it came to its end before it was killed often enough"
        process.kill()
        process.communicate()
    process = start("search", recipe, HFT_STORE=stores[1])
    _, err = process.communicate(timeout=NEVER)
    assert process.returncode == 0, err
    assert "are there already" in err
    assert trials(killed) == trials(whole)
    assert found(killed)["best"] == found(whole)["best"]
    assert (killed.folder / "recipe.best.yaml").read_text() == (whole.folder / "recipe.best.yaml").read_text()


def test_four_workers_and_one_that_dies(searched: Any, start: Callable[..., Any], tmp_path: Path) -> None:
    import psutil

    searched.recipe["search"] |= {"trials": 12, "workers": 4}
    process = start("search", searched.write())
    log = searched.folder / "runs" / "searched.search" / "logs"
    deadline = time.monotonic() + NEVER
    killed = False
    while not killed and time.monotonic() < deadline:
        time.sleep(0.2)
        logs = [file for file in log.glob("trial-*.log") if "stage finetune" in file.read_text("utf-8")]
        workers = psutil.Process(process.pid).children()
        if logs and len(workers) == 4:
            workers[-1].kill()
            killed = True
    _, err = process.communicate(timeout=NEVER)
    assert process.returncode == 0, err
    assert "its process died" in err
    assert [trial["number"] for trial in found(searched)["trials"]] == list(range(12))
    assert {trial["state"] for trial in found(searched)["trials"]} <= {"complete", "pruned"}
    store = tmp_path / "store"
    complete = {json.dumps(trial["values"]) for trial in found(searched)["trials"] if trial["state"] == "complete"}
    assert len(objects(store, "stage.json")) == 1 + len(complete), "the pretrain stage is trained once"


def test_stopped_and_continued(searched: Any, start: Callable[..., Any], hft: Callable[..., Outcome]) -> None:
    """SIGTERM: trials under way leave a checkpoint, and go on with their numbers."""
    searched.recipe["stages"][1]["epochs"] = 25
    searched.recipe["search"] |= {"trials": 2, "workers": 2, "prune": None}
    recipe = searched.write()
    process = start("search", recipe)
    logs = searched.folder / "runs" / "searched.search" / "logs"
    deadline = time.monotonic() + NEVER
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if sum("epoch 2:" in file.read_text("utf-8") for file in logs.glob("*.log")) == 2:
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=NEVER)
    assert process.returncode == 75, err
    assert "run the same command to continue" in err
    assert hft("search", recipe).code == 0
    assert [trial["state"] for trial in found(searched)["trials"]] == ["complete"] * 2
    for file in logs.glob("*.log"):
        assert "continuing at step" in file.read_text("utf-8")


def test_values_that_diverge(searched: Any, hft: Callable[..., Outcome]) -> None:
    """They count as bad, and the search goes on; where there is nothing else, that is its end."""
    searched.recipe["stages"][1]["clip"] = None
    searched.recipe["stages"][1]["optimizer"] = {"type": "sgd", "lr": 1e30}
    searched.recipe["search"] |= {"space": {"stages.1.optimizer.lr": {"choices": [1e30, 1e31]}}, "trials": 2}
    outcome = hft("search", searched.write())
    assert outcome.code == 5, outcome.err
    assert "of 2 trials came to a figure" in outcome.err
    assert "bad: " in outcome.err


def test_what_is_wrong_with_the_data_is_the_searchs_error(searched: Any, hft: Callable[..., Outcome]) -> None:
    file = searched.folder / "train.csv"
    file.write_text("review,sentiment\none,neg\ntwo,neg\n", encoding="utf-8")
    outcome = hft("search", searched.write())
    assert outcome.code == 3, outcome.err
    assert "trial 0: " in outcome.err
    assert "Traceback" not in outcome.err


def test_minutes_end_it_and_the_first_trial_always_runs(searched: Any, hft: Callable[..., Outcome]) -> None:
    searched.recipe["search"] |= {"trials": None, "minutes": 0.001}
    outcome = hft("search", searched.write())
    assert outcome.code == 0, outcome.err
    assert len(found(searched)["trials"]) == 1
    assert "goes on with the same study" in outcome.out


def reached(scratch: Any, ended: int) -> None:
    """Wait until so many trials have ended."""
    deadline = time.monotonic() + NEVER
    page = scratch.folder / "runs" / "searched.search" / "search.json"
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if page.is_file() and sum(trial["state"] == "complete" for trial in found(scratch)["trials"]) >= ended:
            return


def test_a_recipe_that_is_edited_meanwhile(searched: Any, start: Callable[..., Any]) -> None:
    """The best one is made of what was searched."""
    searched.recipe["search"]["trials"] = 2
    recipe = searched.write()
    process = start("search", recipe)
    reached(searched, 1)
    recipe.write_text("name: 别的\nstages: []\n", encoding="utf-8")
    _, err = process.communicate(timeout=NEVER)
    assert process.returncode == 0, err
    best = (searched.folder / "recipe.best.yaml").read_text("utf-8")
    assert "searched-best" in best
    assert "别的" not in best


def test_a_plugin_that_changes_meanwhile(searched: Any, start: Callable[..., Any]) -> None:
    """No trial of other code is trained: the search ends, and the next one is refused."""
    file = searched.folder / "shout.py"
    file.write_text(SHOUT, encoding="utf-8")
    searched.recipe |= {"plugins": ["shout.py"], "prepare": {"augment": [{"type": "shout"}]}}
    searched.recipe["search"]["trials"] = 6
    process = start("search", searched.write())
    reached(searched, 1)
    file.write_text(SHOUT.replace("upper()", "lower()"), encoding="utf-8")
    _, err = process.communicate(timeout=NEVER)
    assert process.returncode == 4, err
    assert "has changed since the search began" in err
    assert not any(trial["state"] == "failed" for trial in found(searched)["trials"])


def test_a_plugin_that_changes_before_the_best_trials_run(
    searched: Any, hft_here: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was searched is what is carried out: the best trial's stages are found in the store, and not trained anew."""
    file = searched.folder / "shout.py"
    file.write_text(SHOUT, encoding="utf-8")
    searched.recipe |= {"plugins": ["shout.py"], "prepare": {"augment": [{"type": "shout"}]}}
    searched.recipe["search"]["trials"] = 1

    def write_and_edit(*arguments: Any) -> Path:
        file.write_text(SHOUT.replace("upper()", "lower()"), encoding="utf-8")
        return write_best(*arguments)

    monkeypatch.setattr(winner, "write_best", write_and_edit)
    done = hft_here("search", searched.write())
    assert done.code == 0, done.err
    assert "lower()" in file.read_text("utf-8")
    assert "stage finetune-1: in the store already" in done.err
