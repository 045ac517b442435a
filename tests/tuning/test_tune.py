"""`hft tune` end to end: what it keeps, writes and says; killed at any moment; and what it refuses."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hft_core.recipe.yaml import parse_yaml
from tests.repeats import times

LR = "stages.0.optimizer.lr"
NEVER = 600
"""Seconds after which a test gives up."""


def tuned(scratch: Any) -> dict[str, Any]:
    """What tune.json says, but for the time that it took."""
    found: dict[str, Any] = json.loads((scratch.folder / "runs" / "slow.tune" / "tune.json").read_text("utf-8"))
    del found["seconds"]
    return found


def text_of(scratch: Any) -> str:
    return (scratch.folder / "recipe.tuned.yaml").read_text("utf-8")


@pytest.mark.slow
def test_a_rate_that_is_too_low_is_raised(slow: Any, hft_here: Any, tmp_path: Path) -> None:
    """The change that helps stays, with its remark; the test is scored by the final run alone; a second call trains nothing."""
    recipe = slow.folder / "recipe.yaml"
    recipe.write_text(_commented(slow.recipe), "utf-8")
    outcome = hft_here("tune", recipe, "--runs", "20", "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    found = tuned(slow)
    assert {name: told[name] for name in found} == found
    kept = [one for one in found["rounds"] if one["gate"]["kept"]]
    assert kept
    assert any(change["path"] == LR and change["after"] > 1e-4 for one in kept for change in one["changes"])
    assert all(one["gate"]["verdict"] == "helps" and one["gate"]["low"] > 0 for one in kept)
    assert sum(found["end"]) / 3 > sum(found["start"]) / 3 + 0.2
    assert found["runs"] == 3 + sum(one["runs"] for one in found["rounds"]) <= 20

    text = text_of(slow)
    assert text.startswith("# Written by hft tune from recipe.yaml: ")
    assert "# 我的评论" in text
    raw = parse_yaml(text, "")[0]
    rate = raw["stages"][0]["optimizer"]["lr"]
    assert rate > 1e-4
    above = text.partition(f"lr: {rate}")[0].rpartition("type: adam")[2]
    assert "# tuned: lr 1e-05 → " in above
    assert "It gave: accuracy +0." in above
    assert "3 folds" in above
    assert "# a guess" in text

    report = json.loads((Path(told["run"]) / "report.json").read_text("utf-8"))
    assert report["tuning"]["rounds"] == found["rounds"]
    page = (Path(told["run"]) / "report.html").read_text("utf-8")
    assert "<h2>Tuning</h2>" in page
    assert "What was seen" in page
    store = tmp_path / "store"
    scored = list(store.glob("objects/*/test.json"))
    trained = len(list(store.glob("objects/*/stage.json")))
    assert len(scored) == 3  # the seeds of the final run; no arm was measured on the test

    again = hft_here("tune", recipe, "--runs", "20", "--json")
    assert again.code == 0, again.err
    assert tuned(slow) == found
    assert text_of(slow) == text
    assert len(list(store.glob("objects/*/stage.json"))) == trained


def _commented(recipe: dict[str, Any]) -> str:
    """The recipe as a person writes it."""
    rest = "".join(f"{key}: {json.dumps(value)}\n" for key, value in recipe.items() if key != "stages")
    return f"""\
# 我的评论
{rest}stages:
  - stage: finetune
    objectives: [{{type: task, data: train}}]
    epochs: 3
    batch_size: 16
    optimizer:
      type: adam
      lr: 1e-5  # a guess
"""


@pytest.mark.slow
def test_killed_and_begun_again(make_slow: Callable[[Path], Any], start: Callable[..., Any], tmp_path: Path) -> None:
    """Two SIGKILLs at random moments (with HFT_THOROUGH five): the same rounds and recipe as of one that was left alone."""
    whole, killed = make_slow(tmp_path / "whole"), make_slow(tmp_path / "killed")
    stores = [str(tmp_path / name) for name in ("store", "store-of-killed")]
    began = time.monotonic()
    process = start("tune", whole.write(), "--runs", "12", HFT_STORE=stores[0])
    _, err = process.communicate(timeout=NEVER)
    assert process.returncode == 0, err
    took = time.monotonic() - began

    draw, recipe = random.Random(5), killed.write()
    kills = 0
    for _ in range(times(2, 5)):
        process = start("tune", recipe, "--runs", "12", HFT_STORE=stores[1])
        time.sleep(took / 5 * draw.uniform(0.2, 1.5))
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills >= times(1, 3)
    process = start("tune", recipe, "--runs", "12", HFT_STORE=stores[1])
    _, err = process.communicate(timeout=NEVER)
    assert process.returncode == 0, err
    assert tuned(killed) == tuned(whole)
    assert text_of(killed) == text_of(whole)


@pytest.mark.slow
def test_a_recipe_that_diverges(slow: Any, hft_here: Any) -> None:
    """The rate is divided by ten, a hundred, a thousand; where all of that diverges nothing is carried out."""
    slow.recipe["stages"][0]["optimizer"] = {"type": "sgd", "lr": 1e30}
    outcome = hft_here("tune", slow.write(), "--runs", "9")
    assert outcome.code == 5, outcome.err
    assert "training diverges with all that was tried" in outcome.err
    found = tuned(slow)
    assert found["start"] is None
    assert [one["name"] for one in found["rounds"]] == ["diverged"] * 3
    assert [one["changes"][0]["after"] for one in found["rounds"]] == [1e29, 1e28, 1e27]
    assert not (slow.folder / "recipe.tuned.yaml").exists()
    assert not (slow.folder / "runs" / "slow-tuned").exists()


def test_changes_are_written_wherever_the_recipe_has_room(slow: Any) -> None:
    """Two changes of a rate that the recipe leaves to its default, and one of what stands there by an alias."""
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry
    from hft_core.tuning.adjusted import write_adjusted

    text = """\
name: slow
data:
  train: &rows
    type: csv
    path: train.csv
  validation: *rows
task: {type: text-classification, text: review, label: sentiment}
model: {type: bert, source: {scratch: tiny, tokenizer: {type: wordpiece, size: 300}}}
stages:
  - stage: pretrain
    objectives: [{type: masked-lm, data: train}]
    optimizer: &usual {type: adam, lr: 1e-4}
  - stage: finetune
    objectives: [{type: task, data: train}]
    optimizer: *usual
  - stage: finetune
    objectives: [{type: task, data: train}]
"""
    recipe = slow.folder / "recipe.yaml"
    recipe.write_text(text, "utf-8")
    start = load_recipe(recipe, load_registry())
    gate = {
        "kept": True, "metric": "f1", "difference": 0.1, "low": 0.05, "high": 0.15, "seeds": 3, "folds": True,
    }  # fmt: skip
    rounds = [
        {"name": "a", "where": "b", "seen": "变化。", "changes": [change], "gate": gate, "runs": 3}
        for change in (
            {"path": "stages.1.optimizer.lr", "before": 1e-4, "after": 1e-3},
            {"path": "stages.2.optimizer", "before": None, "after": {"type": "adamw", "lr": 1e-5}},
            {"path": "stages.2.optimizer.lr", "before": 1e-5, "after": 2e-5},
        )
    ]
    found: Any = {"rounds": rounds, "metric": "f1", "folds": True, "start": [0.5], "end": [0.8]}
    tuned_text = write_adjusted(recipe, text, [], start, found).read_text("utf-8")
    raw = parse_yaml(tuned_text, "")[0]
    assert [stage["optimizer"]["lr"] for stage in raw["stages"]] == [1e-4, 1e-3, 2e-5]
    assert raw["data"]["validation"] == raw["data"]["train"]
    assert tuned_text.count("# tuned: ") == 3
    assert "by cross-validation 0.500 → 0.800" in tuned_text


@pytest.mark.slow
def test_one_search_of_rate_and_batch(slow: Any, hft_here: Any) -> None:
    """`--search` is hft search with a space of its own, which the recipe need not have."""
    slow.recipe["evaluate"]["seeds"] = 1
    slow.recipe["name"] = "𠮷"
    outcome = hft_here("tune", slow.write(), "--search", "--runs", "2")
    assert outcome.code == 0, outcome.err
    assert "2 trials over stages.0.optimizer.lr, stages.0.batch_size" in outcome.err
    found = json.loads((slow.folder / "runs" / "𠮷.rate.search" / "search.json").read_text("utf-8"))
    assert found["trials"][0]["values"] == {LR: 1e-5, "stages.0.batch_size": 16}
    assert found["space"][LR] == {"low": 3.3e-07, "high": 0.0003, "log": True}
    assert "search" not in parse_yaml((slow.folder / "recipe.best.yaml").read_text("utf-8"), "")[0]


def _without_task(recipe: dict[str, Any]) -> None:
    recipe.pop("task")
    recipe["evaluate"] = {"seeds": 3}
    recipe["stages"] = [{"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "corpus"}]}]
    recipe["data"] = {"corpus": {"type": "text", "path": "corpus.txt"}}


@pytest.mark.parametrize(
    ("change", "options", "expected"),
    [
        (
            lambda recipe: recipe["evaluate"].update(seeds=1),
            [],
            ["with one seed nobody can tell", "seeds: 3", "--search"],
        ),
        (lambda recipe: None, ["--runs", "0"], ["--runs 0: with a budget of nothing"]),
        (lambda recipe: None, ["--minutes", "nan"], ["--minutes nan: with a budget of nothing"]),
        (lambda recipe: None, ["--runs", "5"], ["--runs 5 is too small", "give 6 or more"]),
        (lambda recipe: None, ["--runs", "5", "--dry-run"], ["--runs 5 is too small", "give 6 or more"]),
        (lambda recipe: None, ["--search", "--runs", "2"], ["--runs 2 is too small: a trial takes 3 runs"]),
        (lambda recipe: recipe["stages"][0].update(epoch=3), [], ["unknown key 'epoch'; did you mean 'epochs'?"]),
        (_without_task, [], ["tuning needs a `task`"]),
        (_without_task, ["--search"], ["no stage trains a task"]),
    ],
)
def test_what_is_refused(slow: Any, hft_here: Any, change: Any, options: list[str], expected: list[str]) -> None:
    (slow.folder / "corpus.txt").write_text("a text\n" * 300, "utf-8")
    change(slow.recipe)
    outcome = hft_here("tune", slow.write(), *options)
    assert outcome.code == 2, outcome
    for part in expected:
        assert part in outcome.err
    assert "Traceback" not in outcome.err
    assert not list(slow.folder.parent.glob("store/objects/*/stage.json"))
    assert not (slow.folder / "recipe.tuned.yaml").exists()


def test_a_file_of_the_users_is_not_overwritten(slow: Any, hft_here: Any) -> None:
    recipe = slow.write()
    (slow.folder / "recipe.tuned.yaml").write_text("name: mine\n", "utf-8")
    outcome = hft_here("tune", recipe)
    assert outcome.code == 2
    assert "recipe.tuned.yaml is not of hft tune" in outcome.err
    assert text_of(slow) == "name: mine\n"


def test_what_it_would_cost(slow: Any, hft_here: Any) -> None:
    outcome = hft_here("tune", slow.write(), "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "the recipe as it is: 3 runs; predicted cost: 3 stages to train" in outcome.err
    assert not list(slow.folder.parent.glob("store/objects/*/stage.json"))
