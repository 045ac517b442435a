"""Trials under way: handed to processes, listened to, and noted in the study when they end."""

from __future__ import annotations

import math
import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hft_core.errors import (
    DiskError,
    HftError,
    Interrupted,
    LockedError,
    NonFiniteError,
    OutOfMemoryError,
)
from hft_core.recipe.words import short_name, shown_value
from hft_core.search.process import Process
from hft_core.search.study import BEATS, ENDED, Attempt, Study
from hft_core.store.gc import in_use
from hft_core.store.store import Store

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
    keys: list[str] = field(default_factory=list)
    """What it reads and makes in the store."""


class Trials:
    """The trials of one search that its own processes work on, `workers` at a time."""

    def __init__(
        self,
        study: Study,
        store: Store,
        raw_of: Callable[[Mapping[str, Any]], dict[str, Any]],
        job: Mapping[str, Any],
        logs: Path,
        say: Callable[[str], None],
        *,
        workers: int,
        title: str,
        limit: int | None,
        shared: bool,
    ):
        """Hand out nothing yet. `raw_of` gives the recipe of values, `job` what all trials' processes get; `title` is the
        metric's, and of a `shared` study other machines see by signs of life that its trials are worked on."""
        self.ended = 0
        """How many have ended here."""
        self._study, self._store, self._raw_of, self._job, self._logs, self._say = study, store, raw_of, job, logs, say
        self._workers, self._title, self._limit, self._shared = workers, title, limit, shared
        self._lines: queue.Queue[tuple[Process, Any]] = queue.Queue()
        self._running: dict[Process, _Running] = {}
        self._kept: ExitStack | None = None
        self._beaten = time.monotonic()

    def __len__(self) -> int:
        return len(self._running)

    def numbers(self) -> set[int]:
        """Those under way."""
        return {running.attempt.number for running in self._running.values()}

    def end(self, well: bool) -> None:
        """Kill what runs; where the search has ended `well`, `hft gc` may remove what the best trial has made."""
        for process in self._running:
            process.kill()
        if self._kept and well:  # of a search that is to go on, the note stays
            self._kept.close()
        self._kept = None

    def begin(self) -> None:
        """Take up a trial, or make a new one."""
        attempt = self._study.begin()
        if self._study.hopeless(attempt):
            self._study.end(attempt, "pruned")
            return
        try:
            raw = self._raw_of(attempt.values)
        except HftError as error:
            self._end(attempt, "bad", reason=f"these values do not go together: {error}")
            return
        job = {**self._job, "recipe": raw, "title": f"trial {attempt.number}"}
        log = self._logs / f"trial-{attempt.number}.log"
        threads = max(1, (os.cpu_count() or 1) // self._workers) if self._workers > 1 else None
        self._running[Process(job, log, threads, self._lines)] = _Running(attempt)

    def wait(self, on_end: Callable[[], None]) -> None:
        """Handle one line of a trial, or let a second pass; `on_end` is called where a process has ended."""
        self._beat()
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

    def _beat(self) -> None:
        """Give signs of life, where others wait for them."""
        if self._shared and time.monotonic() - self._beaten > BEATS:
            self._beaten = time.monotonic()
            self._study.beat(running.attempt for running in self._running.values())

    def _goes_on(self, attempt: Attempt, epoch: int, figure: float) -> bool:
        """Note a figure; what an earlier try of the same trial has noted was decided on then."""
        if epoch in attempt.known:
            return True
        return self._study.report(attempt, epoch, figure)

    def _close(self, running: _Running, ended: Mapping[str, Any] | None, code: int, log: Path) -> None:
        """Note what became of a trial whose process has ended."""
        attempt = running.attempt
        notes: dict[str, Any] = {} if ended is None else {k: ended[k] for k in ("seconds", "cpu_seconds")}
        if ended is None:
            if attempt.deaths + 1 < _DEATHS:
                self._say(f"trial {attempt.number}: its process died (code {code}); it is tried again, see {log}")
                self._study.give_back(attempt, died=True)
            else:
                self._end(attempt, "failed", reason=f"its process died {_DEATHS} times (code {code}); see {log}")
            return
        if ended["event"] == "complete" and math.isfinite(ended["figure"]):
            more = {name: ended[name] for name in ("seeds", "rows", "trained", "stages", "stage_seconds")}
            before = self._study.best()
            self._end(attempt, "complete", ended["figure"], **notes, **more)
            if (best := self._study.best()) and (before is None or best.number != before.number):
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
        if code in _STOPPING or ended.get("of_all") or self._study.best() is None:
            self._study.give_back(attempt)
            self.stop()
            raise error
        self._end(attempt, "failed", reason=ended["text"], **notes)

    def _end(self, attempt: Attempt, state: str, figure: float | None = None, **notes: Any) -> None:
        if self._study.end(attempt, state, figure, **notes):
            self.ended += 1
            self._say(self._told(attempt, state, figure, notes))
        else:
            self._say(f"trial {attempt.number}: another machine has it, which had heard nothing of this one for long")

    def _told(self, attempt: Attempt, state: str, figure: float | None, notes: Mapping[str, Any]) -> str:
        """One line about a trial."""
        ended = sum(entry.state in ENDED for entry in self._study.entries())
        limit = f"/{self._limit}" if self._limit is not None else ""
        values = ", ".join(f"{short_name(path)} {shown_value(value)}" for path, value in attempt.values.items())
        if state == "complete":
            best = self._study.best()
            mark = ", the best so far" if best and best.number == attempt.number else ""
            became = f"{self._title} {figure:.4f}{mark}"
        elif state == "pruned":
            became = f"ended after epoch {max(attempt.known, default=0)}: others were better then"
        else:
            became = f"{state}: {str(notes.get('reason', '')).splitlines()[0]:.200}"
        return f"{ended}{limit} trial {attempt.number}: {values}: {became}"

    def _keep(self, keys: Sequence[str]) -> None:
        """Keep what the best trial has made from `hft gc`, until the search ends; that of the others may go."""
        new = ExitStack()
        new.enter_context(in_use(self._store, keys))
        if self._kept:
            self._kept.close()
        self._kept = new

    def stop(self) -> None:
        """Ask all processes to stop, wait for them, and let their trials wait."""
        for process in self._running:
            process.stop()
        while self._running:
            self._beat()
            try:
                process, said = self._lines.get(timeout=1)
            except queue.Empty:
                continue
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
                    self._study.give_back(running.attempt)
            elif said["event"] != "keys":
                process.ended = said
