"""A trial's process, as its search sees it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


class Process:
    """Starts a trial, and puts each line that it writes into a queue, with itself; the last is the event `exit`."""

    def __init__(self, job: Mapping[str, Any], log: Path, threads: int | None, lines: queue.Queue[tuple[Process, Any]]):
        environment = dict(os.environ)
        if threads is not None:  # so that several do not fight for the cores, unless the user has said what to do
            environment.setdefault("OMP_NUM_THREADS", str(threads))
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hft_core.search.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the search, which asks its trials to stop
            )
        self.log = log
        self.ended: Mapping[str, Any] | None = None
        """The last line that the process has written, if it came to one."""
        self._lines = lines
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.answer(job)

    def answer(self, value: Any) -> None:
        """Write a line to the process; one that has died is told of by its exit."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps(value, ensure_ascii=False) + "\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        """Ask for a checkpoint and an end."""
        with suppress(OSError):
            self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        with suppress(OSError):
            self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):
                said = json.loads(line)
                self._lines.put((self, said))
        self._lines.put((self, {"event": "exit", "code": self._process.wait()}))
