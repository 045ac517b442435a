"""Ablation: what each part of a recipe is worth, taken out of the whole, and put alone into what is left without any."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hft_core.errors import RecipeError
from hft_core.evidence.comparison import ALPHA, holm
from hft_core.pipeline.cost import Budget, Cost, predicted, seconds
from hft_core.pipeline.divergence import divergence, first_divergence
from hft_core.pipeline.gates import as_written
from hft_core.pipeline.gates_run import Carrier, validation_rows
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan import build_plan
from hft_core.pipeline.plan_arms import MINIMUM_ROWS, Arm, build_arm, deciding
from hft_core.pipeline.report_lineage import recipe_digest
from hft_core.pipeline.steps.gate import diverged, figures, verdict
from hft_core.recipe.load import LoadedRecipe, load_variant
from hft_core.recipe.parts import optional_parts, part_title, refusal, without
from hft_core.recipe.yaml import Location
from hft_core.registry import Registry

FORMAT = 1
"""Of what `ablate` gives. Grows when a key goes or changes its meaning."""
WAYS = ("leave_one_out", "add_one_in")


@dataclass(frozen=True)
class Part:
    """An entry that the recipe can do without, and the arms that it is measured by."""

    title: str
    place: Location
    out: Arm
    """The whole recipe without it."""
    alone: Arm | None
    """What is left without any part, and it; None where it cannot stand alone."""


class Ablation:
    """The arms of an ablation, and what they come to."""

    def __init__(self, loaded: LoadedRecipe, registry: Registry, carrier: Carrier):
        self.carrier, self.store = carrier, carrier.store
        self.asked = loaded
        self.whole = as_written(loaded, registry)
        if not self.whole.recipe.all_tasks:
            raise RecipeError(
                f"{loaded.where}: an ablation needs a `task`, by whose figures parts are compared; add one"
            )
        self._registry = registry
        self.places = optional_parts(self.whole.recipe, self.whole.raw, self._load)
        if not self.places:
            raise RecipeError(
                f"{loaded.where}: the recipe is not valid without any one of its entries, so nothing can be left out of it; add "
                "stages, objectives, techniques, cleaners or augmenters to compare"
            )
        self.best, self.position = deciding(self.whole, registry)
        plan = build_plan(self.whole, registry)
        carrier.prepare(plan)
        self.rows = validation_rows(self.whole, registry, plan, self.store)
        self.folds = self.rows < MINIMUM_ROWS and self.seeds > 1
        self.full = self._arm("the whole recipe", [])
        bare = self._removable_together()
        self.bare = self._arm("without any part", bare)
        self.parts = [self._part(place, bare) for place in self.places]
        arms: dict[tuple[str, ...], Arm] = {}
        for arm in (self.full, *(part.out for part in self.parts), self.bare, *(part.alone for part in self.parts)):
            if arm is not None:
                arms.setdefault(tuple(node.key for node in arm.measured), arm)
        self.arms = list(arms.values())
        """Each once, in the order in which they are trained: a budget that ends early has compared something."""

    @property
    def seeds(self) -> int:
        """Trainings of an arm."""
        return self.whole.recipe.evaluate.seeds

    def _load(self, raw: dict[str, Any]) -> Any:
        return load_variant(self.whole, self._registry, raw).recipe

    def _removable_together(self) -> list[Location]:
        """As many parts as the recipe can do without at once, the first ones first."""
        gone: list[Location] = []
        for place in self.places:
            if refusal(self.whole.recipe, self.whole.raw, [*gone, place], self._load) is None:
                gone.append(place)
        return gone

    def _arm(self, title: str, gone: Sequence[Location]) -> Arm:
        loaded = load_variant(self.whole, self._registry, without(self.whole.raw, gone))
        return build_arm(loaded, self._registry, title, self.folds)

    def _part(self, place: Location, bare: Sequence[Location]) -> Part:
        title = part_title(self.whole.recipe, place)
        inside = any(place[: len(other)] == other for other in bare if other != place)
        others = [other for other in bare if other != place]
        stands = place in bare and not inside and refusal(self.whole.recipe, self.whole.raw, others, self._load) is None
        return Part(
            title,
            place,
            self._arm(f"without {title}", [place]),
            self._arm(f"{title} alone", others) if stands else None,
        )

    def cost(self) -> Cost:
        """What is still to be trained."""
        return predicted([node for arm in self.arms for node in arm.nodes], self.store)

    def train(self, budget: Budget) -> dict[str, Any]:
        """Train the arms, one after the other, as far as the budget goes; gives all that was found, as JSON."""
        before, began = self.cost(), time.monotonic()
        runs = 0
        trained = [node for arm in self.arms for node in arm.stages if not self.store.has(node.key)]
        for number, arm in enumerate(self.arms):
            needed = sum(not self._known(node) for node in arm.measured)
            if self._fits(arm, needed, runs, time.monotonic() - began, budget):
                self.carrier.tried(arm)
                runs += needed
            elif number == 0:
                raise RecipeError(
                    f"the budget is too small for the recipe itself, which every comparison needs: it takes {needed} runs "
                    f"({predicted(arm.nodes, self.store).told()}); raise --runs or --minutes"
                )
        done = [node for node in trained if self.store.has(node.key)]
        return {
            "format": FORMAT,
            "name": self.whole.recipe.name,
            "recipe": recipe_digest(self.asked.raw),
            "metric": self.best.title,
            "seeds": self.seeds,
            "rows": self.rows,
            "folds": self.folds,
            "whole": self._figures(self.full),
            "bare": self._figures(self.bare),
            "parts": self._compared(),
            "diverged": {arm.title: message for arm in self.arms if (message := self._divergence(arm))},
            "complete": all(self._known(node) for arm in self.arms for node in arm.measured),
            "cost": {
                "predicted_stages": before.stages,
                "predicted_seconds": None if before.unknown else round(before.seconds, 1),
                "runs": runs,
                "stages": len({node.key for node in done}),
                "stage_seconds": round(seconds(done, self.store), 1),
                "seconds": round(time.monotonic() - began, 1),
            },
        }

    def _fits(self, arm: Arm, needed: int, runs: int, elapsed: float, budget: Budget) -> bool:
        if not needed:
            return True
        if budget.runs is not None and runs + needed > budget.runs:
            return False
        foreseen = predicted(arm.nodes, self.store).seconds
        return budget.minutes is None or elapsed + foreseen <= budget.minutes * 60

    def _made(self, arm: Arm) -> bool:
        return all(self.store.has(node.key) for node in arm.measured)

    def _known(self, node: Node) -> bool:
        """Whether a node is made, or known to diverge."""
        return self.store.has(node.key) or divergence(self.store, node.key) is not None

    def _divergence(self, arm: Arm) -> str | None:
        return first_divergence(self.store, arm.nodes)

    def _figures(self, arm: Arm) -> list[float] | None:
        """The figure of each seed on validation."""
        if not self._made(arm):
            return None
        return figures(self.best.metric, [self.store.folder(node.key) for node in arm.measured])

    def _compared(self) -> list[dict[str, Any]]:
        """Both comparisons of each part; their verdicts are corrected for all of them together."""
        rows: list[dict[str, Any]] = []
        for part in self.parts:
            sides = {"leave_one_out": (part.out, self.full), "add_one_in": (self.bare, part.alone)}
            found = {way: self._verdict(*sides[way]) for way in WAYS}
            rows.append(
                {"title": part.title, "place": ".".join(map(str, part.place)), "alone": part.alone is not None, **found}
            )
        entries = [row[way] for row in rows for way in WAYS if row[way] and "p" in row[way]]
        for entry, adjusted in zip(
            entries, holm([min(1.0, 2 * min(e["p"], 1 - e["p"])) for e in entries]), strict=True
        ):
            better = entry["p"] < 0.5
            entry["adjusted"] = adjusted
            entry["verdict"] = "unproven" if adjusted > 2 * ALPHA else "helps" if better else "harms"
        return rows

    def _verdict(self, first: Arm, second: Arm | None) -> dict[str, Any] | None:
        if second is None or not all(self._known(node) for arm in (first, second) for node in arm.measured):
            return None
        lost = self._divergence(first), self._divergence(second)
        if any(lost):
            return diverged(*lost)
        sides = [[self.store.folder(node.key) for node in arm.measured] for arm in (first, second)]
        return verdict(self.best.metric, self.position, self.folds, *sides)
