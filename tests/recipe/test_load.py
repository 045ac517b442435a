"""hft_core.recipe: files to checked recipes; paths, overrides, the task's own objective."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hft_core import DataError, RecipeError, resolve_path
from hft_core.recipe import load_recipe
from hft_core.recipe.overrides import apply_overrides
from hft_core.recipe.yaml import SET, place_of, read_yaml
from hft_core.registry import Registry, load_registry

ROOT = Path(__file__).parents[2]
# The one of the plugin needs that plugin installed: tests/examples does it.
EXAMPLES = sorted(set(ROOT.glob("examples/*/recipe.yaml")) - {ROOT / "examples/plugin/recipe.yaml"})


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def test_lines_of_keys_and_of_entries_of_lists(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "# a comment\nname: x\nstages:\n  - stage: a\n    lr: 1\n  - {stage: b,\n     lr: 2}\n", encoding="utf-8"
    )
    value, lines = read_yaml(file)
    assert value["stages"][1] == {"stage": "b", "lr": 2}
    assert lines[("name",)] == 2
    assert lines[("stages", 0, "lr")] == 5
    assert lines[("stages", 1)] == 6
    assert lines[("stages", 1, "lr")] == 7
    assert place_of(("stages", 1, "lr", "deeper"), lines) == "line 7, stages.1.lr.deeper"
    assert place_of(("stages",), {("stages",): SET}) == "--set, stages"


def test_overrides_change_single_values() -> None:
    raw: dict[str, Any] = {"stages": [{"epochs": 1}, {"epochs": 2}]}
    places = apply_overrides(raw, ["stages.1.epochs=3e-1", "evaluate.best=f1", "stages.0={stage: pretrain}", "name="])
    assert raw == {"stages": [{"stage": "pretrain"}, {"epochs": 0.3}], "evaluate": {"best": "f1"}, "name": ""}
    assert places == [("stages", 1, "epochs"), ("evaluate", "best"), ("stages", 0), ("name",)]


def test_overrides_leave_the_callers_dict_alone(tiny: Any, registry: Registry) -> None:
    loaded = load_recipe(tiny.recipe, registry, ["stages.0.epochs=7"], folder=tiny.folder)
    assert loaded.recipe.stages[0].epochs == 7
    assert loaded.raw["stages"][0]["epochs"] == 7
    assert tiny.recipe["stages"][0]["epochs"] == 1


def test_paths_start_beside_the_recipe_or_in_the_environment(
    tiny: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_DATA", str(tiny.folder))
    tiny.recipe["data"]["validation"]["path"] = "${MY_DATA}/dev.csv"
    sources = load_recipe(tiny.write(), registry).recipe.data.sources
    assert [reader.path for reader in sources.values()] == [tiny.folder / "train.csv", tiny.folder / "dev.csv"]  # type: ignore[attr-defined]
    assert resolve_path("~/a", tmp_path) == Path(os.path.expanduser("~/a"))
    assert resolve_path("/b", tmp_path) == Path("/b")
    with pytest.raises(ValueError, match="the path is empty"):
        resolve_path("", tmp_path)


def test_a_missing_path_names_the_nearest_file(tiny: Any, registry: Registry) -> None:
    tiny.recipe["data"]["train"]["path"] = "trian.csv"
    with pytest.raises(DataError, match=r"line 6, data.train.path: there is no file .*; did you mean 'train.csv'\?"):
        load_recipe(tiny.write(), registry)


def test_task_stands_for_the_tasks_own_objective(tiny: Any, registry: Registry) -> None:
    tiny.recipe["stages"][0]["objectives"] = [{"type": "task", "data": "train", "weight": {"from": 1, "to": 0.5}}]
    objective = load_recipe(tiny.write(), registry).recipe.stages[0].objectives[0]
    assert objective.type_name() == "classification"
    assert objective.weight.to == 0.5  # type: ignore[union-attr]
    tiny.recipe["stages"][0]["objectives"][0]["label_smoothing"] = 0.1  # its fields are told to its own type
    with pytest.raises(RecipeError, match="unknown key 'label_smoothing'"):
        load_recipe(tiny.write(), registry)


def test_defaults_depend_on_the_kind_of_stage(tiny: Any, registry: Registry) -> None:
    tiny.recipe["stages"] = [
        {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "train"}]},
        {"stage": "finetune", "objectives": [{"type": "task", "data": "train"}]},
    ]
    first, second = load_recipe(tiny.write(), registry).recipe.stages
    assert (first.epochs, first.optimizer.lr) == (None, 1e-4)
    assert (second.epochs, second.optimizer.lr) == (None, 5e-5)
    assert (second.optimizer.type_name(), second.schedule.type_name(), second.schedule.warmup) == (
        "adamw",
        "linear",
        0.1,
    )


def test_components_in_a_dict_may_be_live(tiny: Any, registry: Registry) -> None:
    reader = registry.classes("reader")["csv"].model_validate({"type": "csv", "path": tiny.folder / "train.csv"})
    tiny.recipe["data"]["train"] = reader
    tiny.recipe["data"]["validation"]["path"] = tiny.folder / "dev.csv"
    loaded = load_recipe(tiny.recipe, registry)
    assert loaded.recipe.data.sources["train"] == reader
    assert loaded.raw["data"]["validation"]["path"] == str(tiny.folder / "dev.csv")


def test_what_a_recipe_says_does_not_change(tiny: Any, registry: Registry) -> None:
    recipe = load_recipe(tiny.write(), registry).recipe
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 1


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.parent.name)
def test_the_examples_are_valid(example: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their data may be elsewhere: then the files that are missing are all that is wrong."""
    monkeypatch.setenv("HFT_DATA", os.environ.get("HFT_DATA", "/nowhere"))
    try:
        load_recipe(example, registry)
    except DataError as error:
        assert all("there is no file" in line for line in str(error).splitlines())  # noqa: PT017


def test_there_are_examples() -> None:
    assert "quickstart" in [file.parent.name for file in EXAMPLES]
