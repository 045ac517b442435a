"""A typo in any key, and a value of the wrong form under any key: found, with its line, and the nearest name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hft_core import RecipeError
from hft_core.recipe import Recipe, load_recipe
from hft_core.recipe import load as loading
from hft_core.recipe.narrow import narrow
from hft_core.recipe.trackers import Tracker
from hft_core.registry import Registry, load_registry

from .recipes import FILES, FULL, RECIPES

NAMED_BY_THE_USER = (
    ("tasks",),
    ("stages", 0, "techniques", 3, "factors"),
    ("model", "source", "config"),
    ("search", "space"),
)
"""Mappings whose keys are anybody's names, so that a typo in one shows elsewhere."""

Place = tuple[str | int, ...]


def keys(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every key of the recipe, as its path."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(key, str):
            yield (*place, key)
        yield from keys(item, (*place, key))


def at(recipe: Any, place: Place) -> Any:
    for step in place:
        recipe = recipe[step]
    return recipe


KEYS = [(name, place) for name, recipe in RECIPES.items() for place in keys(recipe)]
LEAVES = [
    (name, place)
    for name, place in KEYS
    if not isinstance(at(RECIPES[name], place), (dict, list))
    and place[-1] not in ("class_weights", "positive_weights")  # these take labels by name
]


def title(value: Any) -> str:
    """A readable id of a test."""
    return value if isinstance(value, str) else ".".join(map(str, value))


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The built-in plugins; what contrib adds has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFT_ALLOWED_PLUGINS", "hft-core")
        return load_registry()


@pytest.fixture(scope="module")
def narrowed(registry: Registry) -> type[Recipe]:
    return narrow(registry)


@pytest.fixture(autouse=True)
def _all_trackers_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tracker, "missing", lambda self: False)


@pytest.fixture
def load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry, narrowed: type[Recipe]
) -> Callable[[dict[str, Any]], str]:
    """Write a recipe and load it; gives what is wrong with it."""
    monkeypatch.setattr(loading, "narrow", lambda _: narrowed)  # made once for all tests: it takes most of the time
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        (tmp_path / name).touch()

    def complaint(recipe: dict[str, Any]) -> str:
        Path("recipe.yaml").write_text(json.dumps(recipe, indent=1), encoding="utf-8")
        with pytest.raises(RecipeError) as raised:
            load_recipe(Path("recipe.yaml"), registry)
        assert raised.value.exit_code == 2
        return str(raised.value)

    return complaint


@pytest.mark.parametrize("name", RECIPES)
def test_without_a_mistake_it_is_fine(name: str, tmp_path: Path, registry: Registry) -> None:
    for file in FILES:
        (tmp_path / file).touch()
    (tmp_path / "recipe.yaml").write_text(json.dumps(RECIPES[name]), encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml", registry).recipe.name == name


def test_the_recipes_have_every_key_that_the_core_and_the_built_in_components_know(narrowed: type[Recipe]) -> None:
    """So that the tests below leave none out."""
    definitions = narrowed.model_json_schema()["$defs"]
    known = {name for definition in definitions.values() for name in definition.get("properties", {})}
    assert known - {place[-1] for _, place in KEYS} == {"when"}  # see tests/pipeline/test_gates.py


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, place in KEYS if place[:-1] not in NAMED_BY_THE_USER], ids=title
)
def test_a_typo_in_a_key(name: str, place: Place, load: Callable[[dict[str, Any]], str]) -> None:
    recipe = copy.deepcopy(RECIPES[name])
    *above, key = place
    holder = at(recipe, tuple(above))
    typo = f"{key}x"
    # In the same place, so that lines do not move.
    items = [(typo if known == key else known, value) for known, value in holder.items()]
    holder.clear()
    holder.update(items)
    message = load(recipe)
    if key == "type" and "tokenizer" not in place:
        assert "'type' is missing" in message
        return
    if above == ["data"] and "tasks" in RECIPES[name]:
        assert f"there is no task {typo!r}; did you mean {key!r}?" in message
    elif above == ["data"] and key != "split":
        assert f"nothing reads the source {typo!r}; did you mean {key!r}?" in message
    elif above == ["data"]:  # a source called splitx, then
        assert f"data.{typo}" in message
    else:
        assert f"unknown key {typo!r}; did you mean {key!r}?" in message
        assert f"{key!r} is missing" not in message  # once is enough
    lines = Path("recipe.yaml").read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if f'"{typo}"' in text)
    assert f"recipe.yaml, line {line}, " in message


@pytest.mark.parametrize(("name", "place"), LEAVES, ids=title)
def test_a_value_of_the_wrong_form(name: str, place: Place, load: Callable[[dict[str, Any]], str]) -> None:
    recipe = copy.deepcopy(RECIPES[name])
    at(recipe, place[:-1])[place[-1]] = {"zzz": 1}
    message = load(recipe)
    assert ".".join(map(str, place[:-1])) in message
    assert "zzz" in message  # what was found
    assert "pydantic" not in message
    assert "class" not in message.replace("classification", "").replace("classes", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["stages"][0]["optimizer"].update(lr="fast"), "optimizer.lr: expected a number, found 'fast'"),
        (lambda r: r["stages"][0]["optimizer"].update(lr=True), "optimizer.lr: found true"),
        (
            lambda r: r["stages"][0]["optimizer"].update(lr=float("inf")),
            "optimizer.lr: expected a finite number",
        ),
        (lambda r: r["stages"][0]["optimizer"].update(lr=0), "expected more than 0"),
        (lambda r: r["stages"][0].update(batch_size=1.5), "batch_size: expected a whole number, found 1.5"),
        (lambda r: r["stages"][0].update(stage="pretrian"), "found 'pretrian'; did you mean 'pretrain'?"),
        (lambda r: r["stages"][0].update(objectives={"type": "masked-lm"}), "objectives: expected a list"),
        (lambda r: r.update(stages=[]), "stages: expected at least 1 entry"),
        (
            lambda r: r.update(task="text-classification"),
            "task: expected settings like {key: value}, found 'text-classification'; write {type: text-classification}",
        ),
        (lambda r: r.update(export=["onx"]), "export.0: expected settings like {key: value}, found 'onx'"),
        (
            lambda r: r["stages"][1].update(objectives=[{"type": "task", "data": "train", "focal": 2}]),
            "`task` is the task's objective as it is; to change its settings, write that one's type",
        ),
        (
            lambda r: r.update(task={"type": "text-generation", "answer": "a", "prompt": "Q: {question}"}),
            "task.prompt: 'Q: {question}' lacks {text}",
        ),
        (lambda r: r["data"].update(train="train.csv"), "data.train: expected settings like {key: value}"),
        (lambda r: r["data"]["train"].update(path=""), "data.train.path: the path is empty"),
        (lambda r: r["data"]["train"].update(path=None), "data.train.path: expected a path or a list, found None"),
        (lambda r: r["data"]["split"].update(validation=0.6, test=0.6), "data.split"),
        (lambda r: r["model"].update(source=5), "expected settings like {key: value} or a path or a text, found 5"),
        (lambda r: r.update(seed=-1), "seed: expected at least 0, found -1"),
    ],
)
def test_a_wrong_value(change: Any, said: str, load: Callable[[dict[str, Any]], str]) -> None:
    recipe = copy.deepcopy(FULL)
    change(recipe)
    assert said in load(recipe)


@pytest.mark.parametrize("name", ["a/b", "../up", "..", "", "/root", "a b", "a\nb", "x" * 200])
def test_names_that_would_leave_the_run_folder(name: str, load: Callable[[dict[str, Any]], str]) -> None:
    for place in ((), ("stages", 0), ("export", 0), ("stages", 1, "objectives", 1), ("data", "train")):
        recipe = copy.deepcopy(FULL)
        at(recipe, place)["name"] = name
        message = load(recipe)
        assert ".".join([*map(str, place), "name"]) in message
        assert "a name has letters, digits" in message


def test_several_mistakes_are_told_at_once(load: Callable[[dict[str, Any]], str]) -> None:
    recipe = copy.deepcopy(FULL)
    recipe["sede"] = recipe.pop("seed")
    recipe["stages"][0]["epochs"] = "many"
    recipe["export"][0]["type"] = "onx"
    message = load(recipe)
    assert "'sede'" in message
    assert "'many'" in message
    assert "no exporter 'onx'; did you mean 'onnx'?" in message
