"""A search: what it tries is checked, its study opened, and trials are trained until the budget ends."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from hft_core.errors import HftError, Interrupted, LockedError, NonFiniteError, RecipeError
from hft_core.pipeline.cost import Cost, predicted
from hft_core.pipeline.plan_arms import Arm, build_arm, deciding
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.values import variant
from hft_core.registry import Registry
from hft_core.search.checks import checked, ends, settings_of, to_try
from hft_core.search.database import sqlite_url
from hft_core.search.identity import identity, plugin_code
from hft_core.search.space import own_values
from hft_core.search.study import ENDED, Entry, Study
from hft_core.search.trials import Trials
from hft_core.store.hashing import digest_json
from hft_core.store.store import Store
from hft_core.training.stopping import StopRequest


class Search:
    """A search of a recipe. Making one checks everything; it trains nothing before `run`."""

    def __init__(
        self,
        loaded: LoadedRecipe,
        registry: Registry,
        store: Store,
        target: Path,
        say: Callable[[str], None],
        *,
        url: str | None = None,
        workers: int | None = None,
        plugins: Sequence[Path] = (),
        disabled: Mapping[str, str] | None = None,
    ):
        self.base = checked(loaded, registry)
        self.settings = settings_of(loaded)
        self.store, self._target, self._say, self._registry = store, target, say, registry
        self.workers = workers or self.settings.workers
        self.name = self.settings.study or loaded.recipe.name
        self.url = url or sqlite_url(store.root / "search" / f"{self.name}.db")
        self._alone = self.url.startswith("sqlite")
        self._job = {
            "folder": str(loaded.folder),
            "store": str(store.root),
            "plugins": [str(Path(file).absolute()) for file in plugins],
            "disabled": dict(disabled or {}),
        }
        self.best = deciding(self.base, registry)[0]
        self._held = ExitStack()

    def __enter__(self) -> Search:
        """Open the study. Raises LockedError where another search has it, and RecipeError where it is of something else."""
        self.own = own_values(self.base, self.settings.space)
        """The recipe's own values, with which the search begins, where they are within the space."""
        code = plugin_code(map(self._variant, to_try(self.settings.space)), self._registry)
        with ExitStack() as held:
            if self._alone:  # on one machine one process hands trials out: what runs when it begins has died
                try:
                    lock = self.store.lock(digest_json([self.url, self.name]), lambda text: None, wait=False)
                    held.enter_context(lock)
                except LockedError:
                    raise LockedError(
                        f"another hft search is at work on the study {self.name!r}; wait for it, or begin another with "
                        "`search: {study: NAME}`"
                    ) from None
            self.study = Study(
                self.url,
                self.name,
                self.settings.space,
                identity(self.base, self.settings, self.best.title, self._arms, code),
                own=self.own,
                greater_is_better=self.best.metric.greater_is_better,
                prune=self.settings.prune,
                seed=self.base.recipe.seed,
            )
            self._held = held.pop_all()
        self._trials = Trials(
            self.study,
            self.store,
            lambda values: self._variant(values).raw,
            {**self._job, "code": code},
            self._target / "logs",
            self._say,
            workers=self.workers,
            title=self.best.title,
            limit=self.settings.limit,
            shared=not self._alone,
        )
        if len(self.study.versions) > 1:
            self._say(
                f"the study {self.name!r} is of hft {' and '.join(self.study.versions)}: between them its trials may differ by "
                "more than their values; to have all from one, begin another with `search: {study: NAME}`"
            )
        return self

    def __exit__(self, *error: object) -> None:
        self._trials.end(well=not any(error))
        self._held.close()

    # ---- what it is ----

    @cached_property
    def _arms(self) -> list[Arm]:
        """What a trial makes with all first values, and with all last ones."""
        return [
            build_arm(self._variant(values), self._registry, "a trial", folds=False)
            for values in ends(self.settings.space)
        ]

    def _variant(self, values: Mapping[str, Any]) -> LoadedRecipe:
        return variant(self.base, self._registry, values)

    def cost(self) -> Cost:
        """What one trial is still to train: the dearer one of those at the ends of the space."""
        costs = [predicted(arm.nodes, self.store) for arm in self._arms]
        return max(costs, key=lambda cost: (cost.seconds, cost.stages))

    # ---- at work ----

    def run(self, stop: StopRequest, on_end: Callable[[], None] = lambda: None) -> Entry:
        """Train trials until the budget ends; gives the best one. `on_end` is called after each.

        Raises Interrupted once `stop` is asked for: trials under way have a checkpoint then, and go on next time.
        """
        self._began = time.monotonic()
        self.study.take_up(self._alone, set())
        while True:
            while not stop.asked and len(self._trials) < self.workers and self._may_begin():
                self._trials.begin()
            others = 0 if self._alone else self.study.take_up(False, self._trials.numbers())
            if stop.asked:
                self._trials.stop()
                raise Interrupted("the search stopped as asked; run the same command to continue")
            if not self._trials and not others and not self._may_begin():
                break
            self._trials.wait(on_end)
        best = self.study.best()
        if best is None:
            raise self._without_any()
        return best

    def _may_begin(self) -> bool:
        """Whether another trial fits into the budget, and there is one."""
        entries = self.study.entries()
        waiting = any(entry.state == "waiting" for entry in entries)
        ended = [entry for entry in entries if entry.state in ENDED]
        if self.settings.minutes is not None and (self._trials.ended or self._trials or ended):
            times = [float(entry.notes["seconds"]) for entry in ended if "seconds" in entry.notes]
            foreseen = statistics.median(times) if times else 0.0
            if time.monotonic() - self._began + foreseen > self.settings.minutes * 60:
                return False
        if waiting:
            return True
        limit = self.settings.limit
        return (limit is None or len(entries) < limit) and not self.study.exhausted()

    def _without_any(self) -> HftError:
        entries = self.study.entries()
        reasons = [str(entry.notes["reason"]).splitlines()[0] for entry in entries if "reason" in entry.notes]
        said = "; ".join(dict.fromkeys(reasons)) or "all were ended early"
        bad = bool(entries) and all(entry.state == "bad" for entry in entries)
        error = NonFiniteError if bad else RecipeError
        return error(f"none of {len(entries)} trials came to a figure ({said}); search other values")
