"""Techniques that make no sense together, or here: `hft check` names both, the place, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hft_core import RecipeError
from hft_core.recipe import load_recipe
from hft_core.registry import Registry, load_registry

SCRATCH = {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}}
SETTINGS: dict[str, dict[str, Any]] = {
    "distillation": {"teacher": {"type": "bert", "source": SCRATCH}},
    "freeze": {"parts": ["embeddings"]},
    "rates": {"factors": {"head": 10}},
}
"""What a technique cannot be written without."""

APART = [
    ("ema", "swa"),  # two averages, one of which nobody would see
    ("lora", "reinit"),  # new random numbers that stay
    ("mixup", "r-drop"),  # the two passes would mix different rows
    ("mixup", "distillation"),  # the teacher would see the rows unmixed
]
"""Pairs that cannot be combined, in either order."""
ONCE = ["ema", "swa", "lora", "reinit", "layerwise-decay", "gradual-unfreezing", "r-drop", "fgm", "mixup"]
"""Those that make no sense twice; several freezes, rates and teachers do."""
ORDERED = [("reinit", "ema"), ("freeze", "gradual-unfreezing")]
"""Pairs of which the first has to stand before the second."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture
def complaints(tiny: Any, registry: Registry) -> Callable[..., str]:
    """Give ``complaints(*types)``: what a recipe with these techniques is told, empty if it is valid."""

    def check(*types: str) -> str:
        tiny.recipe["stages"][0]["techniques"] = [{"type": name} | SETTINGS.get(name, {}) for name in types]
        try:
            load_recipe(tiny.write(), registry)
        except RecipeError as error:
            return str(error)
        return ""

    return check


@pytest.mark.slow
def test_every_pair_is_refused_or_makes_sense(complaints: Callable[..., str], registry: Registry) -> None:
    """All ordered pairs of what is installed: a new technique has to be thought of here."""
    kinds = sorted(
        name for name, kind in registry.classes("technique").items() if kind.__module__.startswith("hft_plugins.")
    )
    assert len(kinds) == 12
    wanted = {pair for one, two in APART for pair in ((one, two), (two, one))} | {(name, name) for name in ONCE}
    wanted |= {(late, early) for early, late in ORDERED} | {(other, "lora") for other in kinds}
    found = {pair for pair in product(kinds, repeat=2) if complaints(*pair)}
    assert found == wanted


@pytest.mark.parametrize(("one", "two"), [*APART, *(pair[::-1] for pair in APART)])
def test_a_pair_that_cannot_be_combined(complaints: Callable[..., str], one: str, two: str) -> None:
    said = complaints(one, two)
    assert f"{one} and {two} cannot be combined" in said
    assert "remove one of them" in said
    assert "line " in said
    assert "stages.0.techniques.1" in said


@pytest.mark.parametrize("name", ONCE)
def test_one_technique_twice(complaints: Callable[..., str], name: str) -> None:
    said = complaints("freeze", name, name) if name != "lora" else complaints(name, name)
    assert f"the stage has {name} twice" in said
    assert "line " in said
    assert f"stages.0.techniques.{1 if name == 'lora' else 2}" in said


@pytest.mark.parametrize(("early", "late"), ORDERED)
def test_a_pair_in_the_wrong_order(complaints: Callable[..., str], early: str, late: str) -> None:
    assert f"put {early} before {late}" in complaints(late, early)
    assert not complaints(early, late)


TWO_TASKS = [{"type": "task", "task": name, "data": "train"} for name in ("one", "two")]


@pytest.fixture
def several(tiny: Any) -> Any:
    """The tiny recipe with two tasks on the same rows."""
    task, data = tiny.recipe.pop("task"), tiny.recipe.pop("data")
    tiny.recipe |= {"tasks": {"one": task, "two": task}, "data": {"one": data, "two": data}}
    tiny.recipe["stages"][0]["objectives"] = TWO_TASKS
    return tiny


@pytest.mark.parametrize(("one", "two"), [("mixup", "r-drop"), ("fgm", "fgm"), ("r-drop", "r-drop")])
def test_on_different_objectives_they_do_not_meet(several: Any, hft_here: Any, one: str, two: str) -> None:
    techniques = [{"type": one, "on": ["one"]}, {"type": two, "on": ["two"]}]
    several.recipe["stages"][0]["techniques"] = techniques
    assert hft_here("check", several.write()).code == 0
    del techniques[0]["on"]
    outcome = hft_here("check", several.write())
    assert outcome.code == 2
    assert "on 'two'" in outcome.err


ON = [
    ({"type": "r-drop", "on": ["clasification"]},
     "the stage has no objective 'clasification'; did you mean 'classification'? It has: task, classification"),
    ({"type": "ema", "on": ["classification"]}, "ema changes no objective's loss, so there is nothing to name; remove `on`"),
]  # fmt: skip


@pytest.mark.parametrize(("technique", "message"), ON)
def test_objectives_that_are_not_there(
    tiny: Any, hft_here: Any, refused: Callable[..., None], technique: dict[str, Any], message: str
) -> None:
    tiny.recipe["stages"][0]["techniques"] = [technique]
    refused(hft_here("check", tiny.write()), "recipe", "line ", "stages.0.techniques.0.on", message)


@pytest.mark.parametrize("name", ["r-drop", "fgm", "mixup", "distillation"])
def test_a_loss_that_nobody_has(tiny: Any, hft_here: Any, refused: Callable[..., None], name: str) -> None:
    """In a stage without a task, a technique has to say whose loss it changes."""
    pretrain = {"stage": "pretrain", "objectives": [{"type": "masked-lm", "data": "train"}]}
    technique = {"type": name} | SETTINGS.get(name, {})
    tiny.recipe["stages"].insert(0, pretrain | {"techniques": [technique]})
    refused(
        hft_here("check", tiny.write()), "recipe", "line ", "stages.0.techniques.0",
        f"{name} would change no loss, for no objective of this stage trains a task; name some with `on:`, out of masked-lm",
    )  # fmt: skip
    technique["on"] = ["masked-lm"]
    assert hft_here("check", tiny.write()).code == 0


def test_a_teacher_that_is_not_there(tiny: Any, hft_here: Any, refused: Callable[..., None]) -> None:
    """The folder is looked at by `check`, not only when a plan is made; a teacher from the hub is not fetched."""
    technique: dict[str, Any] = {"type": "distillation", "teacher": {"type": "bert", "source": "./no-teacher"}}
    tiny.recipe["stages"][0]["techniques"] = [technique]
    place = "stages.0.techniques.0.teacher"
    refused(
        hft_here("check", tiny.write()), "plugin", "line ", place, "there is no folder", "no-teacher", "Set `source:`"
    )
    (tiny.folder / "no-teacher").mkdir()
    refused(hft_here("check", tiny.write()), "plugin", "line ", place, "has no config.json")
    technique["teacher"]["source"] = "nobody/no-such-model"
    assert hft_here("check", tiny.write()).code == 0


FOUND_WHEN_BUILT = [
    (
        [{"type": "freeze", "parts": ["embedings"]}],
        "'embedings' means no part of this model that is trained; name one of",
    ),
    ([{"type": "lora"}, {"type": "rates", "factors": {"embeddings": 0.1}}], "'embeddings' means no part of this model"),
]


@pytest.mark.parametrize(
    ("techniques", "message"), FOUND_WHEN_BUILT, ids=lambda value: value if isinstance(value, str) else None
)
def test_what_only_the_net_can_tell_ends_the_run_before_the_first_step(
    tiny: Any, hft_here: Any, refused: Callable[..., None], techniques: list[dict[str, Any]], message: str
) -> None:
    """The others are told in tests/training/, where nets are built without a run."""
    tiny.recipe["stages"][0]["techniques"] = techniques
    recipe: Path = tiny.write()
    assert hft_here("check", recipe).code == 0
    outcome = hft_here("run", recipe)
    refused(outcome, "recipe", message)
    assert "first trying" not in outcome.out
