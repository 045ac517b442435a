"""A request to stop (SIGTERM, Ctrl-C) is noted, and honoured at the next step, after a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ASKED = "asked to stop: training stops after this step with a checkpoint, other work when it is done"


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
    under_launcher = int(os.environ.get("WORLD_SIZE", "1")) > 1  # torchrun sends on the Ctrl-C that came here as well

    telling: list[threading.Thread] = []

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a loader's worker, which has inherited this; its parent ends it
            return
        if request.asked and number == signal.SIGINT and not under_launcher:
            raise KeyboardInterrupt
        first, request.asked = not request.asked, True  # before it is said: another signal may come meanwhile
        if first:
            # Not from here: the signal may have come in the middle of a line to the same file, which nobody enters twice.
            telling.append(threading.Thread(target=say, args=(_ASKED,)))
            telling[-1].start()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    ending = False
    try:
        yield request
    except BaseException:
        ending = under_launcher  # which sends SIGTERM when another process ends: it must not cut off what is to be said
        raise
    finally:
        for thread in telling:
            thread.join()
        for number, handler in before.items() if not ending else ():
            signal.signal(number, handler)
