"""The processes that torchrun or accelerate launch starts for one run: what the first decides, the others hear.

Only the first one prepares, encodes, evaluates, exports and writes; all train. They talk through the key-value store of
torch.distributed that they find one another by, and not by collectives: waiting there has no time limit, and a process
that is stuck in a collective, because another has failed, is still told so by a thread of its own.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hft_core.errors import DiskError, HftError, Interrupted, RecipeError, exit_code
from hft_core.training.stopping import StopRequest

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store as KeyValues

_POLL = 0.1
_GRACE = 10.0
"""Seconds in which a process has to notice by itself that another one failed; after that it is stuck, and is ended."""
_LINGERS = 5.0
"""Seconds that the first process, which may keep the values, gives the others to read them when it is about to end."""
_APPEARS = 30.0
"""Seconds after which a file that another machine wrote shows up at the latest, where the file system is shared."""
_MEETING_MINUTES = 10
_FAILED, _STOP, _LEFT, _END = "failed", "stop", "left", "end"
_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Connection refused")
"""What gloo's and the store's errors say where the other side of a connection is gone."""


class Ranks:
    """The processes of a run; `alone` where there is one, and then nothing waits and nothing is told."""

    def __init__(self, index: int = 0, count: int = 1):
        self.index, self.count = index, count
        self.stop: StopRequest | None = None
        """Set by the run; a request in one process becomes one in all."""
        self._runs = 0  # topics are those of one run, where a program has several
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False
        self._heard: dict[str, Any] | None = None
        """What the thread has heard of a failure elsewhere."""
        if count > 1:
            # Two connections: one of them may be waiting for an answer while the thread needs its own.
            self._values, self._of_thread = _meet(index, count), _meet(index, count)
            self._thread = threading.Thread(target=self._watch, name="hft-ranks", daemon=True)
            self._thread.start()

    @property
    def first(self) -> bool:
        """Whether this process decides, writes and talks."""
        return self.index == 0

    @property
    def title(self) -> str:
        """The process for messages."""
        return f"process {self.index} of {self.count} (on {socket.gethostname()})"

    # ---- what the first decides ----

    def tell(self, topic: str, news: Any) -> None:
        """Let the others hear of something, once per topic."""
        if self.count > 1:
            self._values.set(self._topic(topic), json.dumps(news))

    def hear(self, topic: str) -> Any:
        """Wait for what another process tells, however long it takes. Raises HftError where one has failed."""
        while not self._values.check([self._topic(topic)]):
            if self._values.check([_FAILED]):
                raise _failure(json.loads(self._values.get(_FAILED)))
            time.sleep(_POLL)
        return json.loads(self._values.get(self._topic(topic)))

    def _topic(self, topic: str) -> str:
        return f"run {self._runs}/{topic}"

    def begin(self, root: Path) -> None:
        """Begin a run on a store. Raises RecipeError where one of the processes sees another folder than the first."""
        if self.count == 1:
            return
        self._runs += 1
        if self.first:
            token = root / "ranks" / f"{socket.gethostname()}-{os.getpid()}"
            try:
                token.parent.mkdir(parents=True, exist_ok=True)
                token.touch()
            except OSError as error:
                raise DiskError(
                    f"the store {root} cannot be written: {error.strerror}. Choose another place with HFT_STORE"
                ) from error
            self.tell("store", [token.name, socket.gethostname(), str(root)])
            try:
                for index in range(1, self.count):
                    self.hear(f"store {index}")
            finally:
                token.unlink(missing_ok=True)
            return
        name, host, there = self.hear("store")
        if not self.sees(root / "ranks" / name, host):
            raise RecipeError(
                f"the store of {self.title} is {root}, which is not the one of the first process ({there} on {host}): all "
                "processes have to see the same files. Set HFT_STORE to a folder on a file system that all machines share"
            )
        self.tell(f"store {self.index}", True)

    def sees(self, path: Path, host: str = "") -> bool:
        """Whether a path that another process wrote (on `host`, if known) is there, or shows up within seconds."""
        until = time.monotonic() + (0 if host == socket.gethostname() else _APPEARS)
        while not path.exists():
            if time.monotonic() > until:
                return False
            time.sleep(_POLL)
        return True

    # ---- the end ----

    def failed(self, error: BaseException) -> BaseException:
        """Tell the others of an error that ends this process; gives what it is to raise.

        That is the error itself in the process that failed first, which will print it, and in others one with the same exit
        code that is `told`.
        """
        self._failed = True
        if self.count == 1 or getattr(error, "told", False):
            return error
        if _lost(error):
            gone = "another process of this run is gone: it was killed, or its machine is down"
            meant: BaseException = Interrupted(f"{gone}; run the same command to continue from the last checkpoint")
        else:
            meant = error
        told = json.dumps({"process": self.index, "code": exit_code(meant), "title": self.title, "text": str(meant)})
        try:
            said = json.loads(self._values.compare_set(_FAILED, "", told))
        except (RuntimeError, ValueError):  # the process that keeps the values is gone
            return _failure(self._heard) if self._heard else meant
        return meant if said["process"] == self.index else _failure(said)

    def leave(self) -> None:
        """End together: the first waits for the others to leave, as it may keep what they look at."""
        if self.count == 1:
            return
        try:
            if not self._failed and self.first:
                self.tell(_END, True)
            elif not self._failed:
                self.hear(_END)
        finally:
            self._over.set()
            with suppress(RuntimeError, ValueError):
                self._values.add(_LEFT, 1)
                until = time.monotonic() + _LINGERS
                while self.first and self._values.add(_LEFT, 0) < self.count and time.monotonic() < until:
                    time.sleep(_POLL)
            # A thread that comes back from C++ while the interpreter ends is unwound there, which aborts the process.
            if self._thread is not None:
                self._thread.join(_LINGERS)

    def _watch(self) -> None:
        """Pass requests to stop on, and end this process where another has failed and it does not notice."""
        values = self._of_thread
        code = Interrupted.exit_code
        try:
            while not self._over.wait(_POLL):
                if self.stop is not None and self.stop.asked:
                    values.set(_STOP, "")
                elif self.stop is not None and values.check([_STOP]):
                    self.stop.asked = True
                if values.check([_FAILED]):
                    self._heard = json.loads(values.get(_FAILED))
                    if self._heard["process"] == self.index:
                        return
                    code = self._heard["code"]
                    break
        except (RuntimeError, ValueError):  # the process that keeps the values is gone
            pass
        if self._over.wait(_GRACE):
            return
        with suppress(RuntimeError, ValueError):
            values.add(_LEFT, 1)
        sys.stderr.flush()
        os._exit(code)  # nothing else ends a collective; all that lasts is written whole


ALONE = Ranks()
"""The one process of an ordinary run."""
_joined: Ranks | None = None
_times = 0


@contextmanager
def joined() -> Iterator[Ranks]:
    """Give the processes of this run, as the environment tells; what fails in one of them within the block fails in all.

    Raises in the process that failed first its own error, and in the others one with the same exit code that is `told`.
    """
    global _joined
    if _joined is not None:  # a command around a run
        yield _joined
        return
    count = int(os.environ.get("WORLD_SIZE", "1"))
    ranks = _joined = Ranks(int(os.environ["RANK"]), count) if count > 1 else ALONE
    try:
        try:
            yield ranks
        except BaseException as error:
            told = ranks.failed(error)
            if told is error:
                raise
            raise told from error
        finally:
            ranks.leave()
    finally:
        _joined = None


def _failure(said: dict[str, Any]) -> HftError:
    """What a process raises because another has failed."""
    stopped = said["code"] == Interrupted.exit_code
    error = (Interrupted if stopped else HftError)(f"{said['title']} failed: {said['text']}")
    error.exit_code, error.told = said["code"], True
    return error


def _meet(index: int, count: int) -> KeyValues:
    """Connect to the values that the processes share; each run, and each restart by torchrun, has its own."""
    global _times
    from datetime import timedelta

    from torch.distributed import DistError
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        values, *_ = next(rendezvous("env://", timeout=timedelta(minutes=_MEETING_MINUTES)))
    except (DistError, ValueError, RuntimeError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise RecipeError(
            f"process {index} of {count} did not meet the others at {where}: {error}. Start all of them with torchrun, with "
            "the same rendezvous (docs/distributed.md)"
        ) from error
    _times += 1
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"hft/{restart}/{(_times - 1) // 2}", values)


def _lost(error: BaseException) -> bool:
    """Whether an error says that another process is gone."""
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _LOST)
