"""A request to stop (SIGTERM, Ctrl-C) is noted, and honoured at the next step, after a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody asked to stop."""

    asked = False


@contextmanager
def watch(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Note SIGTERM and SIGINT while the block runs, and tell `say`; a second Ctrl-C interrupts at once."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield request
        return

    owner = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a loader's worker, which has inherited this; its parent ends it
            return
        if request.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        first, request.asked = not request.asked, True  # before it is said: another signal may come meanwhile
        if first:
            say("asked to stop: training stops after this step with a checkpoint, other work when it is done")

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
