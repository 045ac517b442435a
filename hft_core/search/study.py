"""The study: trials in a database of Optuna's, which any of its tools can open.

A trial's values are a function of its number, the space and the trials that have ended: the sampler is made anew for each
trial, with a seed of its own. So a search that was killed goes on with the values that it would have had. A trial that was
under way keeps its number: it goes back to waiting and is taken up first, from its checkpoints.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import hft_core
from hft_core.errors import RecipeError
from hft_core.recipe.search import Dimension
from hft_core.search.database import PATIENCE, optuna_module, require_usable, shown_url, sqlite_file, told_errors
from hft_core.search.identity import difference
from hft_core.search.sampling import distribution, pruner, sampler
from hft_core.search.space import meant, points
from hft_core.store.hashing import digest_json

if TYPE_CHECKING:
    import optuna

ENDED = ("complete", "pruned", "bad", "failed")
"""The states of trials that are over, see `Entry.state`."""
_ATTRIBUTE = "hft"
_BEAT = "hft beat"
_OWNER = "hft owner"
BEATS = 15.0
"""Seconds between signs of life of a trial, where several machines share a study."""
SILENCE = 120.0
"""Seconds without one after which another machine takes a trial up."""


@dataclass
class Attempt:
    """A trial under way."""

    number: int
    values: dict[str, Any]
    """Of each field, as the recipe takes it."""
    known: dict[int, float]
    """The figures that were reported so far, by epoch; those of an earlier try are there at the beginning."""
    deaths: int
    """How often a process of it has died."""
    owner: str
    """Who works on it: this attempt alone."""
    trial: optuna.trial.Trial = field(repr=False)


@dataclass(frozen=True)
class Entry:
    """What a study knows of a trial."""

    number: int
    state: str
    """`complete`; `pruned`: others were better at the same epoch; `bad`: it came to no figure; `failed`, `running`, `waiting`."""
    values: Mapping[str, Any]
    figure: float | None
    """The figure on validation; None unless the trial is complete."""
    curve: Mapping[int, float]
    """The figure after each epoch."""
    notes: Mapping[str, Any]
    """`reason`, `seconds`, `cpu_seconds`, …: what was noted when it ended."""


class Study:
    """A study; the methods raise LockedError, DiskError or DamagedError where the database cannot be used."""

    def __init__(
        self,
        url: str,
        name: str,
        space: Mapping[str, Dimension],
        identity: Mapping[str, Any],
        *,
        own: Mapping[str, Any] | None,
        greater_is_better: bool,
        prune: str | None,
        seed: int,
    ):
        optuna = optuna_module()
        self.url, self.name, self.space = url, name, space
        self.greater_is_better = greater_is_better
        self._seen: dict[int, tuple[Any, float]] = {}
        shown_url(url)  # raises for what is none
        if file := sqlite_file(url):
            require_usable(file)
        options = {"connect_args": {"timeout": PATIENCE}} if file else {"pool_pre_ping": True}
        with self._errors():
            self._storage = optuna.storages.RDBStorage(url, engine_kwargs=options)
            self._distributions = {path: distribution(dimension) for path, dimension in space.items()}
            make = partial(
                optuna.create_study,
                storage=self._storage,
                study_name=name,
                direction="maximize" if greater_is_better else "minimize",
                sampler=sampler(space, own, seed),
                pruner=pruner(prune),
                load_if_exists=True,
            )
            self._study = make()
            known, begun = self._study.user_attrs.get(_ATTRIBUTE), bool(self._study.get_trials(deepcopy=False))
            if begun and (known is None or known["key"] != identity["key"]):
                self._refuse(known, identity)
            if known is not None and known["key"] != identity["key"]:  # of which no trial was ever made
                optuna.delete_study(study_name=name, storage=self._storage)
                self._study = make()
                known = None
            self.versions = sorted({*(known["versions"] if known else []), hft_core.__version__})
            """Of hft, under which it was worked on."""
            self._study.set_user_attr(_ATTRIBUTE, {**identity, "versions": self.versions})

    def _refuse(self, known: Mapping[str, Any] | None, identity: Mapping[str, Any]) -> None:
        why = "hft has not made it" if known is None else difference(known, identity)
        raise RecipeError(
            f"there is a study {self.name!r} of something else in {shown_url(self.url)}: {why}. Its trials say nothing about "
            "this recipe; put that back to go on with it, or begin another with `search: {study: NAME}`"
        )

    # ---- trials ----

    def begin(self) -> Attempt:
        """Take up a waiting trial, or make a new one."""
        with self._errors():
            trial = self._study.ask(self._distributions)
            entry = self._study.get_trials(deepcopy=False)[trial.number]
            values = {path: meant(self.space[path], trial.params[path]) for path in self.space}
            owner = uuid4().hex
            trial.set_user_attr(_OWNER, owner)
            trial.set_user_attr(_BEAT, time.time())
            deaths = entry.user_attrs.get("deaths", 0)
            return Attempt(trial.number, values, dict(entry.intermediate_values), deaths, owner, trial)

    def _has(self, attempt: Attempt) -> bool:
        """Whether a trial is still this attempt's: where nothing was heard of it for long, another machine takes it up."""
        trial = self._storage.get_trial(attempt.trial._trial_id)
        return trial.state.name == "RUNNING" and bool(trial.user_attrs.get(_OWNER) == attempt.owner)

    def report(self, attempt: Attempt, epoch: int, figure: float) -> bool:
        """Note a figure of a trial; gives whether the trial is to go on."""
        with self._errors():
            if not self._has(attempt):
                return False
            if epoch not in attempt.known:
                attempt.trial.report(figure, epoch)
                attempt.known[epoch] = figure
            return not attempt.trial.should_prune()

    def hopeless(self, attempt: Attempt) -> bool:
        """Whether a trial that was under way had been to end, when its search was killed."""
        with self._errors():
            return bool(attempt.known) and attempt.trial.should_prune()

    def end(self, attempt: Attempt, state: str, figure: float | None = None, **notes: Any) -> bool:
        """Note how a trial ended: `complete` with its figure, `pruned`, `bad` or `failed`; False where it is another's by now."""
        from optuna.trial import TrialState

        states = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL}
        with self._errors():
            if not self._has(attempt):
                return False
            for name, value in notes.items():
                attempt.trial.set_user_attr(name, value)
            if state in ("pruned", "bad"):
                attempt.trial.set_user_attr("state", state)
            self._study.tell(attempt.trial, figure, state=states.get(state, TrialState.PRUNED))
            return True

    def give_back(self, attempt: Attempt, died: bool = False) -> None:
        """Let a trial wait that this process cannot end; with `died` it is one death further."""
        from optuna.trial import TrialState

        with self._errors():
            if not self._has(attempt):
                return
            if died:
                attempt.trial.set_user_attr("deaths", attempt.deaths + 1)
            self._storage.set_trial_state_values(attempt.trial._trial_id, TrialState.WAITING)

    def beat(self, attempts: Iterator[Attempt]) -> None:
        """Give signs of life."""
        with self._errors():
            for attempt in filter(self._has, attempts):
                attempt.trial.set_user_attr(_BEAT, time.time())

    def take_up(self, alone: bool, own: set[int]) -> int:
        """Let trials wait whose search is dead; gives how many others run.

        Of a study that only this process may work on, that is all that run and are not `own`. Otherwise one is dead if
        nothing has been heard of it for a while by this machine's clock, whatever the others' clocks say.
        """
        from optuna.trial import TrialState

        others = 0
        with self._errors():
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if trial.number in own:
                    continue
                beat, since = self._seen.get(trial.number, (None, 0.0))
                now = time.monotonic()
                if beat != trial.user_attrs.get(_BEAT) or trial.number not in self._seen:
                    self._seen[trial.number] = (trial.user_attrs.get(_BEAT), now)
                    since = now
                if alone or now - since > SILENCE:
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
                else:
                    others += 1
        return others

    def entries(self) -> list[Entry]:
        """All trials, by number."""
        with self._errors():
            return [self._entry(trial) for trial in self._study.get_trials(deepcopy=False)]

    def best(self) -> Entry | None:
        """The complete trial with the best figure, of several with the same the first one."""
        complete = [entry for entry in self.entries() if entry.figure is not None]
        sign = 1 if self.greater_is_better else -1
        return max(complete, key=lambda entry: (sign * (entry.figure or 0.0), -entry.number), default=None)

    def exhausted(self) -> bool:
        """Whether each point of the space has been tried, or is under way; what failed may be tried again."""
        total = points(self.space)
        if total is None:
            return False
        tried = {digest_json(dict(entry.values)) for entry in self.entries() if entry.state != "failed"}
        return len(tried) >= total

    def importance(self) -> dict[str, float]:
        """How much of what good and bad trials differ by lies in each field (PED-ANOVA, Watanabe et al. 2023).

        Empty with one field, or where too few trials are complete to tell.
        """
        optuna = optuna_module()
        complete = [entry for entry in self.entries() if entry.figure is not None]
        if len(self.space) < 2 or len(complete) < 8 or len({entry.figure for entry in complete}) < 2:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with self._errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
            except ValueError:  # the good ones do not differ from the others
                return {}
        return {name: float(value) for name, value in found.items()}

    def _entry(self, trial: optuna.trial.FrozenTrial) -> Entry:
        state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}.get(
            trial.state.name, trial.state.name.lower()
        )
        values = {path: meant(self.space[path], value) for path, value in trial.params.items()}
        notes = {name: value for name, value in trial.user_attrs.items() if name not in (_BEAT, _OWNER, "state")}
        figure = trial.value if state == "complete" else None
        return Entry(
            trial.number, trial.user_attrs.get("state", state), values, figure, trial.intermediate_values, notes
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the database says into errors of hft."""
        with told_errors(self.url, begun=hasattr(self, "_study")):
            yield
