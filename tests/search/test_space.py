"""A space put into recipes: defaults written out, outer fields first, the recipe's own values, the best one as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hft_core.recipe import load_recipe
from hft_core.recipe.search import Dimension
from hft_core.recipe.values import variant
from hft_core.recipe.words import short_name
from hft_core.registry import load_registry
from hft_core.search.checks import checked
from hft_core.search.search import Search
from hft_core.search.space import at, inside, own_values, place, points, size
from hft_core.search.study import Entry
from hft_core.search.summary import content
from hft_core.search.winner import write_best
from hft_core.store.store import Store
from hft_core.training.stopping import StopRequest

LR = "stages.1.optimizer.lr"


def base_of(scratch: Any) -> Any:
    registry = load_registry()
    return checked(load_recipe(scratch.write(), registry), registry), registry


def test_a_field_of_a_default_component(searched: Any) -> None:
    """Neither optimizer nor schedule are written; a field of theirs alone would be no component."""
    del searched.recipe["stages"][1]["optimizer"]
    searched.recipe["search"]["space"] = {
        LR: {"low": 1e-5, "high": 1e-3, "log": True},
        "stages.1.schedule.warmup": {"low": 0.0, "high": 0.5},
        "prepare.workers": {"low": 0, "high": 4},
    }
    base, registry = base_of(searched)
    stage = variant(base, registry, {LR: 3e-4, "stages.1.schedule.warmup": 0.25}).recipe.stages[1]
    assert (stage.optimizer.type_name(), stage.optimizer.lr) == ("adamw", 3e-4)
    assert (stage.schedule.type_name(), stage.schedule.warmup) == ("linear", 0.25)  # type: ignore[attr-defined]
    assert base.recipe.stages[1].optimizer.lr == 5e-5, "the base is left as it is"


def test_outer_fields_come_first(searched: Any) -> None:
    outer = "stages.1.optimizer"
    searched.recipe["search"]["space"] = {
        LR: {"low": 1e-5, "high": 1e-3, "log": True},
        outer: {"choices": [{"type": "adam", "lr": 1.0}, {"type": "sgd", "lr": 1.0}]},
    }
    base, registry = base_of(searched)
    found = variant(base, registry, {LR: 2e-4, outer: {"type": "sgd", "lr": 1.0}}).recipe.stages[1].optimizer
    assert (found.type_name(), found.lr) == ("sgd", 2e-4)


def test_augmenters_models_and_files_may_be_searched(searched: Any) -> None:
    searched.recipe["prepare"] = {"augment": [{"type": "random-swap", "copies": 1}]}
    searched.recipe["search"]["space"] = {
        "prepare.augment.0.rate": {"low": 0.05, "high": 0.4},
        "prepare.augment.0.copies": {"low": 1, "high": 4},
        "model.source.scratch": {"choices": ["tiny", "mini"]},
        "data.corpus.path": {"choices": ["corpus.txt", "train.csv"]},
    }
    base, registry = base_of(searched)
    recipe = variant(base, registry, {"prepare.augment.0.copies": 3, "data.corpus.path": "train.csv"}).recipe
    assert recipe.prepare.augment[0].copies == 3
    assert recipe.data.sources["corpus"].path.name == "train.csv"  # type: ignore[attr-defined]


def test_the_metric_of_the_search_decides(searched: Any) -> None:
    searched.recipe["search"]["metric"] = "f1"
    base, _ = base_of(searched)
    assert base.recipe.evaluate.best == "f1"
    assert base.recipe.search is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {LR: 1e-3, "stages.1.batch_size": 16}),
        ({"batch_size": 64}, None),
        ({"optimizer": {"type": "adam", "lr": 0.5}}, None),
    ],
)
def test_the_recipes_own_values(searched: Any, changed: Any, expected: Any) -> None:
    searched.recipe["stages"][1] |= changed
    base, registry = base_of(searched)
    assert own_values(base, load_recipe(searched.write(), registry).recipe.search.space) == expected


@pytest.mark.parametrize(
    ("dimension", "value", "expected"),
    [
        (Dimension(low=0.05, high=0.4, step=0.05), 0.15, True),
        (Dimension(low=0.05, high=0.4, step=0.05), 0.4, True),
        (Dimension(low=0.05, high=0.4, step=0.05), 0.16, False),
        (Dimension(low=0.05, high=0.4, step=0.05), 0.45, False),
        (Dimension(low=0.0, high=1.0, step=0.3), 1.0, False),
        (Dimension(low=2, high=9, step=3), 5, True),
        (Dimension(low=2, high=9, step=3), 9, False),
        (Dimension(low=1, high=4), True, False),
        (Dimension(low=1, high=4), 2.0, False),
        (Dimension(low=0.0, high=1.0), 1, True),
    ],
)
def test_a_value_on_the_grid_is_inside(dimension: Dimension, value: Any, expected: bool) -> None:
    assert inside(dimension, value) is expected


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"a": Dimension(choices=[1, 2, 3]), "b": Dimension(low=1, high=4)}, 12),
        ({"a": Dimension(low=0.0, high=1.0, step=0.1)}, 11),
        ({"a": Dimension(low=2, high=9, step=3)}, 3),
        ({"a": Dimension(low=0.0, high=1.0)}, None),
        ({"a": Dimension(choices=[1, 2]), "b": Dimension(low=1.0, high=4)}, None),
    ],
)
def test_how_many_points_a_space_has(space: Any, expected: int | None) -> None:
    assert points(space) == expected
    for dimension in space.values():
        values = [at(dimension, number) for number in range(size(dimension) or 0)]
        assert [place(dimension, value) for value in values] == list(range(len(values)))
        assert all(inside(dimension, value) for value in values)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (LR, "lr"),
        ("prepare.augment.0.rate", "augment.rate"),
        ("model.source", "model.source"),
        ("stages.1.epochs", "epochs"),
    ],
)
def test_short_names(path: str, expected: str) -> None:
    assert short_name(path) == expected


def test_a_run_does_not_see_the_search(searched: Any) -> None:
    """Keys are those of the recipe without it."""
    from hft_core.pipeline.plan import build_plan

    registry = load_registry()
    with_search = build_plan(load_recipe(searched.write(), registry), registry)
    del searched.recipe["search"]
    without = build_plan(load_recipe(searched.write(), registry), registry)
    assert [node.key for node in with_search.nodes] == [node.key for node in without.nodes]


def test_the_best_recipe_keeps_comments_and_is_valid(searched: Any) -> None:
    file = searched.folder / "recipe.yaml"
    file.write_text(
        """# 我的配方
name: searched
data:
  train: {type: csv, path: train.csv}
  validation: {type: csv, path: dev.csv}
task: {type: text-classification, text: review, label: sentiment}
model: {type: bert, source: {scratch: tiny, tokenizer: {type: wordpiece, size: 300}}, max_length: 32}
# how it is trained
stages:
  - stage: finetune
    objectives: [{type: task, data: train}]
    epochs: 2  # enough
    optimizer:
      type: adam
      lr: 1e-3  # a guess
      # and this stays
    batch_size: 32
    # this too
search:
  metric: f1
  space:
    stages.0.optimizer.lr: {low: 1e-5, high: 1e-2, log: true}
    stages.0.techniques: {choices: [[], [{type: ema}]]}
    stages.0.epochs: {low: 1, high: 9}
    stages.0.batch_size: {choices: [8, 16]}
""",
        encoding="utf-8",
    )
    registry = load_registry()
    loaded = load_recipe(file, registry, ["seed=5"])
    base = checked(loaded, registry)
    values = {
        "stages.0.optimizer.lr": 0.00020305,
        "stages.0.techniques": [{"type": "ema"}],
        "stages.0.epochs": 7,
        "stages.0.batch_size": 8,
    }
    best = Entry(4, "complete", values, 0.91234, {}, {})
    assert loaded.recipe.search is not None
    searched_text = file.read_text("utf-8")
    file.write_text("name: another\nstages: []\n", encoding="utf-8")  # meanwhile, which is no matter
    target = write_best(file, searched_text, ["seed=5"], base, loaded.recipe.search, best, "f1")
    text = target.read_text("utf-8")
    assert text.startswith("# Written by hft search recipe.yaml: trial 4, f1 0.9123 on validation.\n# 我的配方\n")
    assert "# how it is trained" in text
    words = " ".join(text.split())
    assert "epochs: 7 # enough (searched: 1 … 9)" in words
    assert "lr: 0.00020305 # a guess (searched: 1e-05 … 0.01) # and this stays" in words
    assert "batch_size: 8 # searched: out of 8, 16 # this too" in words
    found = load_recipe(target, registry).recipe
    wanted = variant(base, registry, values).recipe.model_copy(update={"name": "searched-best"})
    assert found.model_dump() == wanted.model_dump()
    assert (found.name, found.seed, found.search, found.evaluate.best) == ("searched-best", 5, None, "f1")
    assert write_best(file, searched_text, [], base, loaded.recipe.search, best, "f1") == target, (
        "its own file may be replaced"
    )


@pytest.mark.parametrize("budget", [{"trials": 30}, {"minutes": 5}])
def test_it_is_complete_once_every_point_was_tried(searched: Any, tmp_path: Path, budget: Any) -> None:
    """However many trials were asked for, and also where only minutes are; nothing more is begun."""
    searched.recipe["search"] = {"space": {"stages.1.batch_size": {"choices": [8, 16]}}, **budget}
    registry = load_registry()
    loaded = load_recipe(searched.write(), registry)
    with Search(loaded, registry, Store(tmp_path / "store"), tmp_path / "out", print) as search:
        for expected in (False, True):
            search.study.end(search.study.begin(), "complete", 0.5)
            assert content(search)["complete"] is expected
        assert search.run(StopRequest()).number == 0
        assert len(search.study.entries()) == 2


def test_what_a_trial_costs_is_that_of_the_dearer_end(searched: Any, tmp_path: Path) -> None:
    del searched.recipe["data"]["corpus"]
    tune = searched.recipe["stages"].pop()
    searched.recipe["stages"] = [tune]
    searched.recipe["search"]["space"] = {"stages": {"choices": [[tune], [tune, tune]]}}
    registry = load_registry()
    loaded = load_recipe(searched.write(), registry)
    with Search(loaded, registry, Store(tmp_path / "store"), tmp_path / "out", print) as search:
        assert search.cost().stages == 2
