"""Tuning a recipe: what a diagnosis suggests is tried, one change after the other, and stays if the gate says that it helps.

Nothing is remembered beside the store: a change follows from figures that are there, so the same call goes on where an earlier
one was stopped, and comes to the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from hft_core.errors import NonFiniteError, RecipeError
from hft_core.evidence.diagnosis import diagnose
from hft_core.evidence.diagnosis.rates import rounded
from hft_core.pipeline.cost import Budget, Cost, predicted
from hft_core.pipeline.divergence import first_divergence
from hft_core.pipeline.gates import as_written
from hft_core.pipeline.gates_run import Carrier, validation_rows
from hft_core.pipeline.nodes import with_inputs
from hft_core.pipeline.plan import build_plan
from hft_core.pipeline.plan_arms import MINIMUM_ROWS, deciding
from hft_core.pipeline.report_diagnosis import trained_by
from hft_core.pipeline.steps.gate import diverged, figures, verdict
from hft_core.recipe.check import stage_name
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.values import value_at, variant
from hft_core.recipe.words import change_title
from hft_core.registry import Registry
from hft_core.report.content.evidence import Gate
from hft_core.report.content.tuning import Change, TuningContent, TuningRound
from hft_core.store.hashing import digest_json
from hft_core.tuning.candidate import Candidate
from hft_core.tuning.proposals import Proposal, proposals

RUNS = 20
"""Runs at most where nobody says how many."""
FORMAT = 1
"""Of tune.json. Grows when a key goes or changes its meaning."""


class Tuning:
    """The tuning of a recipe within a budget. Making one checks everything and prepares the data; `run` trains."""

    def __init__(self, loaded: LoadedRecipe, registry: Registry, carrier: Carrier, budget: Budget):
        self._registry, self._carrier, self._budget, self.store = registry, carrier, budget, carrier.store
        whole = as_written(loaded, registry)
        _require_comparable(whole, budget)
        self.best, self._position = deciding(whole, registry)
        plan = build_plan(whole, registry)
        carrier.prepare(plan)
        self.rows = validation_rows(whole, registry, plan, self.store)
        self.folds = self.rows < MINIMUM_ROWS
        self.seeds = whole.recipe.evaluate.seeds
        self.start = self.current = Candidate.of(whole, registry, "as written", self.folds)
        self.rounds: list[TuningRound] = []
        self._tried = {digest_json(whole.raw)}
        self._runs = 0
        self._ended = ""
        self._began = time.monotonic()

    def cost(self) -> Cost:
        """What the recipe as it is written is still to train."""
        return predicted(self.start.arm.nodes, self.store)

    def run(self, say: Callable[[str], None], on_round: Callable[[], None] = lambda: None) -> None:
        """Try changes until the budget ends or nothing is left to try; `on_round` is called after each.

        Raises NonFiniteError where training diverges with all of them: there is nothing to carry out.
        """
        self._carrier.tried(self.start.arm)
        self._runs = self.seeds
        while (found := self._next()) is not None:
            proposal, candidate = found
            if not self._fits(candidate):
                self._ended = "budget"
                break
            kept = self._round(proposal, candidate)
            say(f"round {len(self.rounds)}: {self.rounds[-1]['gate']['title']}: {'stays' if kept else 'dropped'}")
            if kept:
                self.current = candidate
            on_round()
        else:
            self._ended = "nothing left"
        if message := self._divergence(self.current):
            raise NonFiniteError(f"training diverges with all that was tried; give the recipe a lower rate. {message}")

    def content(self) -> TuningContent:
        """All that was found so far, as JSON."""
        return {
            "format": FORMAT,
            "name": self.start.loaded.recipe.name,
            "metric": self.best.title,
            "greater_is_better": self.best.metric.greater_is_better,
            "seeds": self.seeds,
            "rows": self.rows,
            "folds": self.folds,
            "start": self._figures(self.start),
            "end": self._figures(self.current),
            "rounds": self.rounds,
            "ended": self._ended,
            "runs": self._runs,
            "seconds": round(time.monotonic() - self._began, 1),
        }

    # ---- one round ----

    def _next(self) -> tuple[Proposal, Candidate] | None:
        """The next change that makes a recipe which is valid and was not tried yet."""
        for proposal in self._proposals():
            try:
                changed = variant(self.current.loaded, self._registry, proposal.changes)
            except RecipeError:
                continue  # the recipe takes no such value
            if digest_json(changed.raw) not in self._tried:
                self._tried.add(digest_json(changed.raw))
                return proposal, Candidate.of(changed, self._registry, f"round {len(self.rounds) + 1}", self.folds)
        return None

    def _proposals(self) -> Iterator[Proposal]:
        loaded = self.current.loaded
        trained = trained_by(loaded.recipe, self.best.task)
        assert trained is not None  # a recipe that no stage trains has no arm to measure
        index = trained[0]
        stage = loaded.recipe.stages[index]
        if message := self._divergence(self.current):
            for factor in (10, 100, 1000):
                lower = {f"stages.{index}.optimizer.lr": rounded(stage.optimizer.lr / factor)}
                yield Proposal("diverged", stage_name(stage, index), message, lower)
            return
        seen = self.current.diagnosed(self._registry, self._carrier, self._worst_seed())
        kept = [one["name"] for one in self.rounds if one["gate"]["kept"]]
        yield from proposals(diagnose(seen), seen, stage, kept)

    def _worst_seed(self) -> int:
        """The seed, from 0, with the worst figure: where a recipe is unstable, a remedy shows there first."""
        found = self._figures(self.current)
        sign = 1 if self.best.metric.greater_is_better else -1
        return min(range(len(found)), key=lambda seed: sign * found[seed]) if found else 0

    def _round(self, proposal: Proposal, candidate: Candidate) -> bool:
        """Compare a change with what there is; gives whether it stays."""
        found, runs = self._compared(candidate)
        self._runs += runs
        before = self.current.loaded
        changes = [Change(path=path, before=_at(before, path), after=value) for path, value in proposal.changes.items()]
        kept = runs == self.seeds and found["verdict"] == "helps"
        self.rounds.append(
            {
                "name": proposal.name,
                "where": proposal.where,
                "seen": proposal.seen,
                "changes": changes,
                "gate": cast(Gate, {"title": change_title(changes), "kept": kept, **found}),
                "runs": runs,
            }
        )
        return kept

    def _compared(self, candidate: Candidate) -> tuple[dict[str, Any], int]:
        """The verdict on a change, and how many runs it took: one where the seed that is worst so far shows no gain at all."""
        sides = [self.current.arm, candidate.arm]
        worst = self._worst_seed()
        first = with_inputs([candidate.arm.measured[worst]])
        lost = [self._divergence(self.current), None]
        self._carrier.make(first, spare=True)
        lost[1] = first_divergence(self.store, first)
        if lost[1]:
            return diverged(*lost), 1
        if not lost[0]:
            found = self._verdict(False, *[self._folders([arm.measured[worst]]) for arm in sides])
            if found["verdict"] == "harms" or not (found["difference"] or found["standard_error"]):
                return found, 1
        lost[1] = self._carrier.tried(candidate.arm)
        if any(lost):
            return diverged(*lost), self.seeds
        return self._verdict(self.folds, *[self._folders(arm.measured) for arm in sides]), self.seeds

    def _divergence(self, candidate: Candidate) -> str | None:
        return first_divergence(self.store, candidate.arm.nodes)

    def _verdict(self, folds: bool, first: list[Path], second: list[Path]) -> dict[str, Any]:
        return verdict(self.best.metric, self._position, folds, first, second)

    def _folders(self, nodes: Any) -> list[Path]:
        return [self.store.folder(node.key) for node in nodes]

    # ---- the budget ----

    def _fits(self, candidate: Candidate) -> bool:
        budget = self._budget
        if budget.runs is not None and self._runs + self.seeds > budget.runs:
            return False
        foreseen = predicted([*self.current.arm.nodes, *candidate.arm.nodes], self.store).seconds
        return budget.minutes is None or time.monotonic() - self._began + foreseen <= budget.minutes * 60

    def _figures(self, candidate: Candidate) -> list[float] | None:
        """The figure of each seed on validation; None where training diverged, or has not ended."""
        made = all(self.store.has(node.key) for node in candidate.arm.measured)
        return figures(self.best.metric, self._folders(candidate.arm.measured)) if made else None


def _require_comparable(loaded: LoadedRecipe, budget: Budget) -> None:
    """Raise RecipeError where changes of a recipe could not be compared, or not one of them within the budget."""
    seeds = loaded.recipe.evaluate.seeds
    if not loaded.recipe.all_tasks:
        raise RecipeError(f"{loaded.where}: tuning needs a `task`, by whose figures changes are compared; add one")
    if seeds == 1:
        raise RecipeError(
            f"{loaded.where}: tuning keeps what helps, and with one seed nobody can tell an effect from luck; set "
            "`evaluate: {seeds: 3}` or more, or take `hft tune --search`"
        )
    if budget.runs is not None and budget.runs < 2 * seeds:
        raise RecipeError(
            f"--runs {budget.runs} is too small: the recipe itself takes {seeds} (one per seed), and a change as many; give "
            f"{2 * seeds} or more"
        )


def _at(loaded: LoadedRecipe, path: str) -> Any:
    """What a field has: as it is written, or else its default; None where that is a component."""
    steps = path.split(".")
    found = value_at(loaded.raw, steps)
    default = value_at(loaded.recipe, steps)
    return found if found is not None else default if isinstance(default, (bool, int, float, str)) else None
