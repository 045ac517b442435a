"""Settling gates: of each entry with `when: helps`, in the recipe's order, whether evidence says that it helps.

An entry is tried on what is settled so far: the recipe without it, and with it. Entries that come later take part in neither,
so k gates cost k + 1 arms. An entry that stays makes its arm the next one's starting point, and in the end the run's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hft_core.pipeline.nodes import Node, make_node
from hft_core.pipeline.plan_arms import Arm, build_arm, deciding
from hft_core.pipeline.steps.gate import gate_step
from hft_core.recipe.load import LoadedRecipe, load_variant
from hft_core.recipe.parts import gated, part_title, ungated, without
from hft_core.recipe.yaml import Location
from hft_core.registry import Registry

Verdict = dict[str, Any]
"""What a gate's node leaves, see `steps.gate.verdict`."""


@dataclass(frozen=True)
class Gate:
    """An entry that is to be settled."""

    title: str
    place: Location
    arms: tuple[Arm, Arm]
    """Without it, and with it."""
    node: Node


@dataclass(frozen=True)
class Decision:
    """What became of an entry."""

    title: str
    place: Location
    verdict: Verdict | None
    """None where it went with the stage that it stands in."""
    kept: bool
    node: Node | None = None


@dataclass
class Settled:
    """A recipe without gates, and what was decided on the way."""

    loaded: LoadedRecipe
    decisions: list[Decision] = field(default_factory=list)


def has_gates(loaded: LoadedRecipe) -> bool:
    """Whether there is something to settle."""
    return bool(gated(loaded.recipe))


def as_written(loaded: LoadedRecipe, registry: Registry) -> LoadedRecipe:
    """The recipe with all entries there for good."""
    return load_variant(loaded, registry, ungated(loaded.raw)) if has_gates(loaded) else loaded


def settle(loaded: LoadedRecipe, registry: Registry, folds: bool, verdict_of: Callable[[Gate], Verdict]) -> Settled:
    """Settle all gates of a recipe by what `verdict_of` says to each, and give the recipe that is left."""
    places = gated(loaded.recipe)
    raw = ungated(loaded.raw)
    dropped: list[Location] = []
    decisions = []
    for number, place in enumerate(places):
        title = part_title(loaded.recipe, place)
        if any(place[: len(other)] == other for other in dropped):
            decisions.append(Decision(title, place, None, kept=False))
            continue
        later = places[number + 1 :]
        sides = [without(raw, [*dropped, *later, place]), without(raw, [*dropped, *later])]
        recipes = [load_variant(loaded, registry, side) for side in sides]
        arms = (
            build_arm(recipes[0], registry, f"without {title}", folds),
            build_arm(recipes[1], registry, f"with {title}", folds),
        )
        gate = Gate(title, place, arms, _node(loaded, registry, title, arms))
        verdict = verdict_of(gate)
        kept = verdict["verdict"] == "helps"
        decisions.append(Decision(title, place, verdict, kept, gate.node))
        if not kept:
            dropped.append(place)
    return Settled(load_variant(loaded, registry, without(raw, dropped)), decisions)


def _node(loaded: LoadedRecipe, registry: Registry, title: str, arms: tuple[Arm, Arm]) -> Node:
    """The comparison of two arms."""
    best, position = deciding(loaded, registry)
    named = [[replace(node, name=f"{arm.title} {n}") for n, node in enumerate(arm.measured)] for arm in arms]
    names = [[node.name for node in side] for side in named]
    work = partial(gate_step, best.metric, position, arms[0].folds, names[0], names[1])
    settings = {"metric": best.metric.identity(), "task": best.task, "folds": arms[0].folds}
    return make_node(registry, f"gate {title}", "gate", settings, [best.metric], [*named[0], *named[1]], work)


def told(decision: Decision) -> str:
    """One sentence about a decision."""
    verdict = decision.verdict
    if verdict is None:
        return f"{decision.title} is dropped with the stage that it stands in"
    if "diverged" in verdict:
        found = {"helps": "helps", "harms": "harms"}.get(verdict["verdict"], "is unproven")
        became = "it stays" if decision.kept else "it is dropped"
        return f"{decision.title} {found}: training {diverging(verdict)} diverges; {became}. {verdict['diverged']}"
    figures = f"{verdict['metric']} {verdict['difference']:+.4f} ({verdict['low']:+.4f} … {verdict['high']:+.4f})"
    if decision.kept:
        return f"{decision.title} helps: {figures}; it stays"
    found = "harms" if verdict["verdict"] == "harms" else "is unproven"
    return f"{decision.title} {found}: {figures}; it is dropped{_settling(verdict)}"


def diverging(verdict: Verdict) -> str:
    """Which side of a comparison diverged, in words."""
    return {"without": "without it", "both": "both without and with it"}.get(verdict.get("side", "with"), "with it")


def _settling(verdict: Verdict) -> str:
    if verdict["verdict"] != "unproven":
        return ""
    if not verdict["standard_error"]:
        return ": both sides give the same figures"
    return f". This gate could have seen {verdict['smallest']:.4f}{advice(verdict)}"


def advice(verdict: Verdict) -> str:
    """What would settle an unproven difference of the size that was measured."""
    needs = verdict["settling"] or {}
    ways: Sequence[str] = [f"{count:,} {of}" for of, count in needs.items() if count]
    return f"; to show a difference of this size takes about {' or '.join(ways)}" if ways else ""
