"""A search at work: takes trials up, hands them to processes, notes what they come to, until the budget ends."""

from __future__ import annotations

import math
import os
import queue
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hft_core.errors import (
    DiskError,
    HftError,
    Interrupted,
    LockedError,
    NonFiniteError,
    OutOfMemoryError,
    RecipeError,
)
from hft_core.pipeline.cost import Cost, predicted
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan_arms import Arm, build_arm
from hft_core.recipe.load import LoadedRecipe
from hft_core.registry import Registry
from hft_core.search.database import sqlite_url
from hft_core.search.process import Process
from hft_core.search.space import checked, deciding, points, settings_of, variant, with_values, written
from hft_core.search.study import BEATS, ENDED, Attempt, Entry, Study
from hft_core.store.gc import in_use
from hft_core.store.hashing import digest_json
from hft_core.store.store import Store
from hft_core.training.stopping import StopRequest

FORMAT = 1
"""Of search.json. Grows when a key goes or changes its meaning."""
_DEATHS = 3
"""How often the process of a trial may die, by the system's hand, before the trial counts as failed."""
_STOPPING = (DiskError.exit_code, LockedError.exit_code, Interrupted.exit_code)
"""What ends the whole search: the trial can do nothing for it."""
_BAD = (NonFiniteError.exit_code, OutOfMemoryError.exit_code)
"""What says that these values are no good."""


@dataclass
class _Running:
    """A trial that a process of ours works on."""

    attempt: Attempt
    began: float
    keys: list[str] = field(default_factory=list)
    """What it reads and makes in the store."""


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
        self.store, self.target, self._say, self._registry = store, target, say, registry
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
        self.best = deciding(self.base, registry)
        self._lines: queue.Queue[tuple[Process, Any]] = queue.Queue()
        self._running: dict[Process, _Running] = {}
        self._held = ExitStack()
        self._kept: ExitStack | None = None

    def __enter__(self) -> Search:
        """Open the study. Raises LockedError where another search has it, and RecipeError where it is of something else."""
        self.own = written(self.base, self.settings.space)
        """The recipe's own values, with which the search begins, where they are within the space."""
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
                self._identity(self.arm),
                own=self.own,
                greater_is_better=self.best.metric.greater_is_better,
                prune=self.settings.prune,
                seed=self.base.recipe.seed,
            )
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        for process in list(self._running):
            process.kill()
        if self._kept and not any(error):  # of a search that is to go on, the note stays
            self._kept.close()
        self._kept = None
        self._held.close()

    # ---- what it is ----

    @cached_property
    def arm(self) -> Arm:
        """What one trial makes: the recipe with the first value of each field."""
        first = {
            path: dimension.choices[0] if dimension.choices else dimension.low
            for path, dimension in self.settings.space.items()
        }
        return build_arm(variant(self.base, self._registry, first), self._registry, "a trial", folds=False)

    def cost(self) -> Cost:
        """What one trial is still to train."""
        return predicted(self.arm.nodes, self.store)

    def _identity(self, arm: Arm) -> dict[str, Any]:
        """What trials of one study have in common; the key tells whether it is the same, the rest what differs."""
        raw = {key: value for key, value in self.base.raw.items() if key not in ("name", "export", "trackers")}
        fixed: dict[str, Any] = {
            "space": {path: dimension.model_dump(mode="json") for path, dimension in self.settings.space.items()},
            "metric": self.best.title,
            "prune": self.settings.prune,
        }
        known: dict[str, str] = {}
        content = [_content(node, known) for node in arm.measured]
        neutral = with_values(self.base, dict.fromkeys(self.settings.space))
        recipe = {key: neutral[key] for key in raw}
        return {**fixed, "key": digest_json({**fixed, "content": content}), "recipe": recipe}

    # ---- at work ----

    def run(self, stop: StopRequest, on_end: Callable[[], None] = lambda: None) -> Entry:
        """Train trials until the budget ends; gives the best one. `on_end` is called after each.

        Raises Interrupted once `stop` is asked for: trials under way have a checkpoint then, and go on next time.
        """
        self._began = self._beaten = time.monotonic()
        self._ended = 0
        self.study.take_up(self._alone, set())
        while True:
            while not stop.asked and len(self._running) < self.workers and self._may_begin():
                self._begin()
            others = 0 if self._alone else self.study.take_up(False, self._own())
            if stop.asked:
                self._stop()
                raise Interrupted("the search stopped as asked; run the same command to continue")
            if not self._running and not others and not self._may_begin():
                break
            self._wait(on_end)
        best = self.study.best()
        if best is None:
            raise self._without_any()
        return best

    def _own(self) -> set[int]:
        return {running.attempt.number for running in self._running.values()}

    def _may_begin(self) -> bool:
        """Whether another trial fits into the budget, and there is one."""
        entries = self.study.entries()
        waiting = any(entry.state == "waiting" for entry in entries)
        ended = [entry for entry in entries if entry.state in ENDED]
        if self.settings.minutes is not None and (self._ended or self._running or ended):
            times = [float(entry.notes["seconds"]) for entry in ended if "seconds" in entry.notes]
            foreseen = statistics.median(times) if times else 0.0
            if time.monotonic() - self._began + foreseen > self.settings.minutes * 60:
                return False
        if waiting:
            return True
        limit = self.settings.limit
        if limit is not None and len(entries) >= limit:
            return False
        tried = {digest_json(dict(entry.values)) for entry in entries if entry.state != "failed"}
        total = points(self.settings.space)
        return total is None or len(tried) < total

    def _begin(self) -> None:
        attempt = self.study.begin()
        if self.study.hopeless(attempt):
            self.study.end(attempt, "pruned")
            return
        try:
            raw = variant(self.base, self._registry, attempt.values).raw
        except HftError as error:
            self._end(attempt, "bad", reason=f"these values do not go together: {error}")
            return
        job = {**self._job, "recipe": raw, "title": f"trial {attempt.number}"}
        log = self.target / "logs" / f"trial-{attempt.number}.log"
        threads = max(1, (os.cpu_count() or 1) // self.workers) if self.workers > 1 else None
        self._running[Process(job, log, threads, self._lines)] = _Running(attempt, time.monotonic())

    def _wait(self, on_end: Callable[[], None]) -> None:
        """Handle one line of a trial, or let a second pass."""
        if not self._alone and time.monotonic() - self._beaten > BEATS:
            self._beaten = time.monotonic()
            self.study.beat(running.attempt for running in self._running.values())
        try:
            process, said = self._lines.get(timeout=1)
        except queue.Empty:
            return
        running = self._running.get(process)
        if running is None:
            return
        if said["event"] == "figure":
            process.answer(self._goes_on(running.attempt, said["epoch"], said["figure"]))
        elif said["event"] == "keys":
            running.keys = said["keys"]
        elif said["event"] == "exit":
            del self._running[process]
            self._close(running, process.ended, said["code"], process.log)
            on_end()
        else:
            process.ended = said

    def _goes_on(self, attempt: Attempt, epoch: int, figure: float) -> bool:
        """Note a figure; what an earlier try of the same trial has noted was decided on then."""
        if epoch in attempt.known:
            return True
        return self.study.report(attempt, epoch, figure)

    def _close(self, running: _Running, ended: Mapping[str, Any] | None, code: int, log: Path) -> None:
        """Note what became of a trial whose process has ended."""
        attempt = running.attempt
        notes: dict[str, Any] = {} if ended is None else {k: ended[k] for k in ("seconds", "cpu_seconds")}
        if ended is None:
            if attempt.deaths + 1 < _DEATHS:
                self._say(f"trial {attempt.number}: its process died (code {code}); it is tried again, see {log}")
                self.study.give_back(attempt, died=True)
            else:
                self._end(attempt, "failed", reason=f"its process died {_DEATHS} times (code {code}); see {log}")
            return
        if ended["event"] == "complete" and math.isfinite(ended["figure"]):
            more = {name: ended[name] for name in ("seeds", "rows", "trained", "stages", "stage_seconds")}
            before = self.study.best()
            self._end(attempt, "complete", ended["figure"], **notes, **more)
            if (best := self.study.best()) and (before is None or best.number != before.number):
                self._keep(running.keys)
        elif ended["event"] == "pruned":
            self._end(attempt, "pruned", **notes)
        elif ended["event"] == "complete":
            self._end(attempt, "bad", reason="its figure is no number", **notes)
        elif ended["code"] in _BAD:
            self._end(attempt, "bad", reason=ended["text"], **notes)
        else:
            self._failed(attempt, ended, notes, log)

    def _failed(self, attempt: Attempt, ended: Mapping[str, Any], notes: Mapping[str, Any], log: Path) -> None:
        """A trial that ended with an error: it is the whole search's if nothing has worked so far."""
        code = ended["code"]
        error = HftError(f"trial {attempt.number}: {ended['text']} (log: {log})")
        error.exit_code = code
        if code in _STOPPING or self.study.best() is None:
            self.study.give_back(attempt)
            self._stop()
            raise error
        self._end(attempt, "failed", reason=ended["text"], **notes)

    def _end(self, attempt: Attempt, state: str, figure: float | None = None, **notes: Any) -> None:
        self.study.end(attempt, state, figure, **notes)
        self._ended += 1
        self._say(self._told(attempt, state, figure, notes))

    def _told(self, attempt: Attempt, state: str, figure: float | None, notes: Mapping[str, Any]) -> str:
        """One line about a trial."""
        ended = sum(entry.state in ENDED for entry in self.study.entries())
        limit = f"/{self.settings.limit}" if self.settings.limit is not None else ""
        values = ", ".join(f"{short_name(path)} {shown_value(value)}" for path, value in attempt.values.items())
        if state == "complete":
            best = self.study.best()
            mark = ", the best so far" if best and best.number == attempt.number else ""
            became = f"{self.best.title} {figure:.4f}{mark}"
        elif state == "pruned":
            became = f"ended after epoch {max(attempt.known, default=0)}: others were better then"
        else:
            became = f"{state}: {str(notes.get('reason', '')).splitlines()[0]:.200}"
        return f"{ended}{limit} trial {attempt.number}: {values}: {became}"

    def _keep(self, keys: Sequence[str]) -> None:
        """Keep what the best trial has made from `hft gc`, until the search ends; that of the others may go."""
        new = ExitStack()
        new.enter_context(in_use(self.store, keys))
        if self._kept:
            self._kept.close()
        self._kept = new

    def _stop(self) -> None:
        """Ask all processes to stop, wait for them, and let their trials wait."""
        for process in self._running:
            process.stop()
        while self._running:
            process, said = self._lines.get()
            running = self._running.get(process)
            if running is None:
                continue
            if said["event"] == "figure":
                process.answer(True)
            elif said["event"] == "exit":
                del self._running[process]
                if process.ended and process.ended["event"] in ("complete", "pruned"):
                    self._close(running, process.ended, said["code"], process.log)
                else:
                    self.study.give_back(running.attempt)
            elif said["event"] != "keys":
                process.ended = said

    def _without_any(self) -> HftError:
        entries = self.study.entries()
        reasons = [str(entry.notes["reason"]).splitlines()[0] for entry in entries if "reason" in entry.notes]
        said = "; ".join(dict.fromkeys(reasons)) or "all were ended early"
        bad = bool(entries) and all(entry.state == "bad" for entry in entries)
        error = NonFiniteError if bad else RecipeError
        return error(f"none of {len(entries)} trials came to a figure ({said}); search other values")


def _content(node: Node, known: dict[str, str]) -> str:
    """What a node is made of: settings and data by content, without the code, which may be a newer version's."""
    if node.key not in known:
        inputs = [_content(item, known) for item in node.inputs]
        known[node.key] = digest_json({"settings": node.parts["settings"], "inputs": inputs})
    return known[node.key]


def short_name(path: str) -> str:
    """What people call a field: its last words."""
    steps = [step for step in path.split(".") if not step.isdecimal()]
    return ".".join(steps[-2:]) if len(steps) > 1 and steps[-1] in ("type", "name", "rate", "source") else steps[-1]


def shown_value(value: Any) -> str:
    """A value for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
