"""`hft ablate`: each part taken out of the whole and put in alone, within a budget, resumable, and sharing what it can."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def parts(project: Any) -> Any:
    """A recipe of a pretrain stage and two techniques behind it."""
    project.recipe["stages"][1] |= {"epochs": 1, "techniques": [{"type": "ema"}, {"type": "layerwise-decay"}]}
    project.recipe["evaluate"] = {"seeds": 2}
    return project


@pytest.mark.slow
def test_each_part_is_measured_and_a_budget_is_kept(parts: Any, hft_here: Callable[..., Any]) -> None:
    recipe = parts.write()
    dry = hft_here("ablate", recipe, "--dry-run")
    assert dry.code == 0, dry.err
    assert "3 parts, " in dry.err
    assert "arms of 2 seeds; predicted cost: " in dry.err
    small = hft_here("ablate", recipe, "--runs", "1")
    assert small.code == 2
    assert "the budget is too small for the recipe itself" in small.err

    first = json.loads(hft_here("ablate", recipe, "--runs", "5", "--json").out)
    assert first["complete"] is False
    assert first["cost"]["runs"] == 4, "two arms of two seeds; a third would be over 5"
    assert [bool(part["leave_one_out"]) for part in first["parts"]] == [True, False, False]
    assert not any(part["add_one_in"] for part in first["parts"])
    rest = json.loads(hft_here("ablate", recipe, "--json").out)
    assert rest["complete"]
    assert [part["title"] for part in rest["parts"]] == [
        "stage adapt",
        "technique ema of tune",
        "technique layerwise-decay of tune",
    ]
    for part in rest["parts"]:
        for way in ("leave_one_out", "add_one_in"):
            entry = part[way]
            assert entry["low"] <= entry["difference"] <= entry["high"]
            assert entry["adjusted"] >= 2 * min(entry["p"], 1 - entry["p"]) - 1e-12
            assert entry["with"] == rest["whole"] if way == "leave_one_out" else entry["without"] == rest["bare"]
    written = json.loads((parts.folder / "runs" / "small.ablation.json").read_text("utf-8"))
    assert written == rest
    again = hft_here("ablate", recipe)
    assert "predicted cost: nothing is to be trained" in again.err
    assert "cost: 0 runs, 0 stages trained" in again.out
    assert "technique ema of tune" in again.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--runs", "0"), "--runs 0: with a budget of nothing"),
        (("--minutes", "0"), "--minutes 0: with a budget of nothing"),
        (("--minutes", "-3"), "--minutes -3: with a budget of nothing"),
    ],
)
def test_a_budget_of_nothing_is_refused(
    parts: Any, hft_here: Callable[..., Any], arguments: tuple[str, ...], expected: str
) -> None:
    outcome = hft_here("ablate", parts.write(), *arguments)
    assert outcome.code == 2
    assert expected in outcome.err
    assert not (parts.folder / ".hft").exists()


def test_a_recipe_without_parts_is_refused(parts: Any, hft_here: Callable[..., Any]) -> None:
    del parts.recipe["stages"][0]
    del parts.recipe["data"]["corpus"]
    parts.recipe["stages"][0]["techniques"] = []
    outcome = hft_here("ablate", parts.write())
    assert outcome.code == 2
    assert "nothing can be left out of it" in outcome.err


def test_later_parts_share_the_pretrain_stage(parts: Any) -> None:
    """Seven arms of six later parts: the pretrain stage, the dear one, is trained once per kind of data and not per arm."""
    from hft_core.pipeline.nodes import Node
    from hft_core.pipeline.plan_arms import build_arm
    from hft_core.recipe import load_recipe
    from hft_core.recipe.load import load_variant
    from hft_core.recipe.parts import optional_parts, without
    from hft_core.registry import load_registry

    parts.recipe["stages"][1]["techniques"] = [{"type": name} for name in ("layerwise-decay", "r-drop", "ema")]
    parts.recipe["stages"][1]["objectives"].append({"type": "masked-lm", "data": "corpus", "weight": 0.1})
    parts.recipe["prepare"] = {"augment": [{"type": "random-swap"}, {"type": "random-delete"}]}
    registry = load_registry()
    loaded = load_recipe(parts.write(), registry)
    places = optional_parts(loaded.recipe, loaded.raw, lambda raw: load_variant(loaded, registry, raw).recipe)
    later = [place for place in places if place != ("stages", 0)]
    assert len(later) == 6
    arms = [build_arm(loaded, registry, "whole", False)]
    arms += [
        build_arm(load_variant(loaded, registry, without(loaded.raw, [place])), registry, "arm", False)
        for place in later
    ]
    stages: dict[str, Node] = {node.key: node for arm in arms for node in arm.stages}
    pretrained = [node for node in stages.values() if node.details["stage"] == "adapt"]
    tuned = [node for node in stages.values() if node.details["stage"] == "tune"]
    assert len(pretrained) == 1
    assert len(tuned) == 7 * 2
    # With 70 % of a run in the pretrain stage of one seed: 0.7 + 7 · 0.3 = 2.8 runs instead of 7.
    assert len(pretrained) * 0.7 + len(tuned) / 2 * 0.3 < 7 / 2
