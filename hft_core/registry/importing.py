"""Imports of plugins, under watch: what they print is kept off standard output, and one that hangs is given up."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType

LIMIT = "HFT_PLUGIN_TIMEOUT"
"""The environment variable with the seconds that one plugin may take to be imported; 0: any time."""
SECONDS = 60.0


class Hangs(BaseException):
    """The import of a plugin took too long. No Exception, so that a plugin's own handlers let it pass."""


@dataclass
class Watch:
    """What was seen while a plugin was imported."""

    seconds: float = 0.0
    """CPU time that it took."""
    said: str = ""
    """What it printed."""


def import_plugin(module: str, file: str | Path | None = None) -> ModuleType:
    """Import a plugin's module; with `file` that file, under the name `module`."""
    return importlib.import_module(module) if file is None else _import_file(module, Path(file))


@contextmanager
def watched() -> Iterator[Watch]:
    """Give up after the limit with `Hangs`; take CPU time, and what is printed."""
    watch, said, start = Watch(), _Held(), time.process_time()
    try:
        with redirect_stdout(said), _limited(limit()):
            yield watch
    finally:
        watch.seconds, watch.said = time.process_time() - start, said.release()


class _Held(io.StringIO):
    """Keeps what is written until it is released; then whoever still holds it writes to standard output."""

    _released = False

    def write(self, text: str, /) -> int:
        """Keep, or pass on."""
        return sys.stdout.write(text) if self._released else super().write(text)

    def release(self) -> str:
        """Give what was kept."""
        self._released = True
        return self.getvalue()


def limit() -> float:
    """The seconds that one plugin may take."""
    try:
        return float(os.environ.get(LIMIT) or SECONDS)
    except ValueError:
        return SECONDS


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise Hangs after so many seconds. Signals reach the main thread only, and Windows has none for it."""
    alarm = getattr(signal, "SIGALRM", None)
    if alarm is None or seconds <= 0 or threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        raise Hangs(f"importing it takes more than {seconds:g} s (see {LIMIT})")

    before = signal.signal(alarm, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(alarm, before)


def _import_file(name: str, file: Path) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
