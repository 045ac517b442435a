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
from hft_core.registry import Registry, load_registry

FILES = ("train.csv", "dev.csv", "corpus.txt", "more.jsonl", "table.tsv", "tokens.conll")

FULL: dict[str, Any] = {
    "name": "full",
    "seed": 3,
    "data": {
        "train": {
            "type": "csv",
            "path": "train.csv",
            "delimiter": ",",
            "quote": '"',
            "header": True,
            "name": "labelled",
        },
        "test": {"type": "csv", "path": "dev.csv", "header": False, "columns": ["review", "sentiment"]},
        "split": {"validation": 0.2},
        "corpus": {"type": "text", "path": "corpus.txt"},
        "more": {"type": "jsonl", "path": "more.jsonl"},
    },
    "task": {"type": "text-classification", "text": "review", "label": "sentiment"},
    "model": {
        "type": "bert",
        "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}},
        "revision": "main",
        "max_length": 64,
    },
    "prepare": {
        "clean": [
            {"type": "unicode", "form": "NFKC"},
            {"type": "html"},
            {"type": "whitespace"},
            {"type": "exact-duplicates", "normalise": True, "conflicts": "drop"},
            {"type": "length", "minimum": 1, "maximum": 500},
        ],
        "augment": [
            {"type": "synonyms", "rate": 0.1, "copies": 2, "table": "table.tsv", "protect": ["not"]},
            {"type": "random-swap", "rate": 0.1},
            {"type": "random-delete", "rate": 0.1},
        ],
    },
    "stages": [
        {
            "stage": "pretrain",
            "name": "adapt",
            "objectives": [
                {"type": "masked-lm", "data": ["corpus", "more"], "rate": 0.15, "mask": 0.8, "random": 0.1},
            ],
            "epochs": 0.5,
            "batch_size": 8,
            "micro_batch": 4,
            "optimizer": {
                "type": "adamw", "lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1,
            },
            "schedule": {"type": "cosine", "warmup": 0.1, "floor": 0.1},
            "clip": 1.0,
            "checkpoint_minutes": 5,
        },
        {
            "stage": "finetune",
            "objectives": [
                {"type": "classification", "data": "train", "label_smoothing": 0.1, "task": "main"},
                {"type": "masked-lm", "name": "side", "data": "corpus", "weight": {"from": 0.3, "to": 0.0}},
                {"type": "causal-lm", "data": "corpus", "block": 32},
            ],
            "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True},
            "schedule": {"type": "constant"},
            "techniques": [{"type": "ema", "decay": 0.9, "on": ["classification"]}],
        },
    ],
    "evaluate": {
        "metrics": [
            {"type": "accuracy"},
            {"type": "f1", "average": "binary", "positive": "pos"},
            {"type": "perplexity"},
        ],
        "best": "f1",
        "seeds": 2,
    },
    "export": [{"type": "onnx", "precisions": ["fp32", "int8"], "opset": 20}],
    "precision": "fp32",
}  # fmt: skip

SCRATCH = {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}

SEVERAL: dict[str, Any] = {
    "name": "several",
    "data": {
        "names": {
            "train": {"type": "conll", "path": "tokens.conll", "token": 1, "tag": -1, "joiner": " "},
            "split": {"validation": 0.2, "test": 0.1},
        },
        "topic": {
            "train": {"type": "csv", "path": "train.csv"},
            "validation": {"type": "csv", "path": "dev.csv"},
            "test": {"type": "csv", "path": "dev.csv"},
        },
        "stories": {"train": {"type": "text", "path": "corpus.txt"}},
    },
    "tasks": {
        "names": {"type": "token-classification", "text": "text", "entities": "entities", "overlap": 8},
        "topic": {"type": "text-classification", "text": "review", "label": "sentiment"},
        "stories": {"type": "text-generation", "text": "text", "new_tokens": 8, "write": True},
    },
    "model": {"type": "gpt", "source": SCRATCH},
    "stages": [
        {
            "stage": "finetune",
            "objectives": [
                {"type": "task", "task": "names", "data": "train"},
                {
                    "type": "classification", "task": "topic", "data": "train", "focal": 2.0,
                    "class_weights": "balanced",
                },
                {"type": "causal-lm", "task": "stories", "data": "train"},
            ],
            "workers": 2,
            "optimizer": {"type": "muon", "lr": 1e-3, "matrices": "attn", "iterations": 5},
            "techniques": [
                {"type": "lora", "rank": 4, "alpha": 8, "dropout": 0.1, "targets": ["attn"], "alone": False},
                {"type": "freeze", "parts": ["embeddings"], "patterns": ["ln"], "below": 0.1},
                {"type": "gradual-unfreezing", "every": 0.1},
                {"type": "rates", "factors": {"head": 10}},
                {"type": "r-drop", "alpha": 1.0},
                {"type": "fgm", "epsilon": 0.5},
                {
                    "type": "distillation", "teacher": {"type": "gpt", "source": SCRATCH}, "temperature": 2.0,
                    "weight": 0.5,
                },
            ],
        },
        {
            "stage": "finetune",
            "objectives": [{"type": "task", "task": "topic", "data": "train"}],
            "optimizer": {"type": "lion", "lr": 1e-4},
            "techniques": [
                {"type": "reinit", "layers": 1},
                {"type": "mixup", "alpha": 0.2},
                {"type": "swa", "start": 0.5},
            ],
        },
    ],
    "evaluate": {"best": "topic.accuracy"},
}  # fmt: skip

RECIPES = {"full": FULL, "several": SEVERAL}
NAMED_BY_THE_USER = (("tasks",), ("stages", 0, "techniques", 3, "factors"))
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
    if not isinstance(at(RECIPES[name], place), (dict, list)) and place[-1] != "class_weights"  # takes labels by name
]


def title(value: Any) -> str:
    """A readable id of a test."""
    return value if isinstance(value, str) else ".".join(map(str, value))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def narrowed(registry: Registry) -> type[Recipe]:
    return narrow(registry)


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
    assert known - {place[-1] for _, place in KEYS} == {"when"}  # refused until there are gates


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
    if above == ["data"] and name == "several":
        assert f"there is no task {typo!r}; did you mean {key!r}?" in message
    elif above == ["data"] and key != "split":
        assert f"nothing reads the source {typo!r}; did you mean {key!r}?" in message
    elif above == ["data"]:  # a source called splitx, then
        assert f"data.{typo}" in message
    else:
        assert f"unknown key {typo!r}; did you mean {key!r}?" in message
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
            "optimizer.lr: Input should be a finite number",
        ),
        (lambda r: r["stages"][0]["optimizer"].update(lr=0), "greater than 0"),
        (lambda r: r["stages"][0].update(batch_size=1.5), "batch_size: expected a whole number, found 1.5"),
        (lambda r: r["stages"][0].update(stage="pretrian"), "found 'pretrian'; did you mean 'pretrain'?"),
        (lambda r: r["stages"][0].update(objectives={"type": "masked-lm"}), "objectives: expected a list"),
        (lambda r: r.update(stages=[]), "stages: List should have at least 1 item"),
        (lambda r: r.update(task="text-classification"), "task: expected settings like {key: value}"),
        (lambda r: r["data"].update(train="train.csv"), "data.train: expected settings like {key: value}"),
        (lambda r: r["data"]["train"].update(path=""), "data.train.path: the path is empty"),
        (lambda r: r["data"]["train"].update(path=None), "data.train.path: expected a path, found None"),
        (lambda r: r["data"]["split"].update(validation=0.6, test=0.6), "data.split"),
        (lambda r: r["model"].update(source=5), "expected settings like {key: value} or a path or a text, found 5"),
        (lambda r: r.update(seed=-1), "seed: Input should be greater than or equal to 0"),
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
