"""A request to stop is noted wherever it comes, even in the middle of a line that is being written."""

from __future__ import annotations

import signal
import threading

import pytest

from hft_core.training.stopping import watch


class File:
    """Text that, as Python's buffered files, one thread cannot begin to write while it writes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._entered = threading.RLock()
        self._inside: int | None = None

    def write(self, text: str) -> None:
        if self._inside == threading.get_ident():
            raise RuntimeError("reentrant call inside <_io.BufferedWriter>")
        with self._entered:
            self._inside = threading.get_ident()
            if text == "a line":
                signal.raise_signal(signal.SIGTERM)
            self.lines.append(text)
            self._inside = None


def test_a_signal_in_the_middle_of_a_line_is_said_behind_it() -> None:
    file = File()
    with watch(file.write) as request:
        file.write("a line")
        assert request.asked
    assert file.lines[0] == "a line"
    assert [line.partition(":")[0] for line in file.lines[1:]] == ["asked to stop"]


def test_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with watch(lambda text: None):
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    with watch(lambda text: None):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
