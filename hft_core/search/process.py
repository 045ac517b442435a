"""A trial's process, as its search sees it.

Trials begin as copies (`fork`) of a process that has imported torch and transformers, which is most of what a short trial
would take. That process is multiprocessing's fork server: it has no threads of its own and never touches an accelerator, so
what it hands out is as good as new. Where a system has none (Windows), or forks badly (macOS), each trial begins afresh.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from hft_core.search.worker import main

# Libraries only: a plugin's code is for the trial to import, where a fault of it is the trial's.
PRELOADED = (
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.generation.utils",
    "sklearn.metrics",
    "datasets",
)
_THREADS = "OMP_NUM_THREADS"


class Process:
    """Starts a trial, and puts each thing that it sends into a queue, with itself; the last is the event `exit`."""

    def __init__(self, job: Mapping[str, Any], log: Path, threads: int | None, lines: queue.Queue[tuple[Process, Any]]):
        log.parent.mkdir(parents=True, exist_ok=True)
        context = _context()
        self._link, theirs = context.Pipe()
        with _environment(threads):
            self._process = context.Process(target=main, args=(job, str(log), dict(os.environ), theirs))
            self._process.start()
        theirs.close()
        self.log = log
        self.ended: Mapping[str, Any] | None = None
        """The last thing that the process has sent, if it came to one."""
        self._lines = lines
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def answer(self, value: bool) -> None:
        """Send an answer to the process; one that has died is told of by its exit."""
        with suppress(OSError):
            self._link.send(value)

    def stop(self) -> None:
        """Ask for a checkpoint and an end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._reader.join()

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._lines.put((self, self._link.recv()))
        self._process.join()
        self._lines.put((self, {"event": "exit", "code": self._process.exitcode}))


def _context() -> ForkServerContext | SpawnContext:
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


@contextmanager
def _environment(threads: int | None) -> Iterator[None]:
    """So many threads a process, so that several do not fight for the cores, unless the user has said what to do.

    OpenMP reads this once, when torch is imported: what counts is the environment that the fork server begins in.
    """
    given = threads is not None and _THREADS not in os.environ
    if given:
        os.environ[_THREADS] = str(threads)
    try:
        yield
    finally:
        if given:
            del os.environ[_THREADS]
