"""Bars and lines: loss, rate and time left, within the width of the terminal."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from hft_core.pipeline.progress import Bars, Lines, Progress, Several

FIGURES = {"掩码语言模型": 3.1234, "classification": 0.6931, "lr": 5e-5}


class Clock:
    """Time as the test wants it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[Bars, io.StringIO]]:
    """Give ``make(width)``: bars on a terminal of that width, and what it gets."""
    import rich.console

    real = rich.console.Console

    def make(width: int) -> tuple[Bars, io.StringIO]:
        screen = io.StringIO()
        options = {"file": screen, "force_terminal": True, "width": width, "color_system": None, "highlight": False}
        monkeypatch.setattr(rich.console, "Console", lambda **given: real(**options))
        return Bars(), screen

    return make


def shown(screen: io.StringIO) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n").splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_bar_fits_the_terminal_and_says_what_matters(bars: Any, clock: Clock, width: int) -> None:
    from rich.cells import cell_len

    bar, screen = bars(width)
    for number, name in ((9, "stage 领域预训练 (seed 1)"), (10, "stage tune")):
        bar.node(number, 14, name)
        for step in range(1200, 1210):  # resumed in the middle
            clock.now += 0.2
            bar.advance(step, 4000, FIGURES)
        bar.bar.refresh()
        last = shown(screen)
        assert any(f"{number}/14 {name}" in line and "1209/4000" in line for line in last)
        assert any("5.0 steps/s 09:1" in line for line in last)  # 2,791 steps are left
        assert any("掩码语言模型 3.123, classification 0.693" in line for line in last)
        bar.done()
        assert bar.bar is None
    assert all(cell_len(line) <= width for line in shown(screen))
    bar.close()


def test_one_bar_per_stage(bars: Any) -> None:
    bar, _ = bars(100)
    bar.node(1, 2, "stage a")
    bar.advance(1, 3, {})
    first = bar.bar
    bar.advance(2, 3, {})
    assert bar.bar is first
    bar.done()
    bar.node(2, 2, "stage b")
    bar.advance(1, 5, {})
    assert bar.bar is not first
    assert [task.description for task in bar.bar.tasks] == ["2/2 stage b"]
    bar.close()
    assert bar.bar is None


def test_lines_say_rate_and_time_left_of_what_is_done_here(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.node(3, 7, "stage 调优")
    lines.advance(500, 1000, FIGURES)  # resumed: the steps before are not this process's
    clock.now += 20
    lines.advance(600, 1000, FIGURES)
    clock.now += 400
    lines.advance(620, 1000, FIGURES)
    told = stream.getvalue().splitlines()
    assert "3/7 stage 调优: step 600/1000, 掩码语言模型 3.123, classification 0.693, lr 5e-05" in told[0]
    assert "5.0 steps/s, about 1 min 20 s left" in told[0]
    assert "3.5 s/step, about 22 min 10 s left" in told[1]
    assert len(told) == 2


def test_lines_of_a_short_stage_are_silent(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.node(1, 1, "stage a")
    for step in range(1, 100):
        clock.now += 0.01
        lines.advance(step, 99, {})
    assert stream.getvalue() == ""


def test_several_pass_everything_on() -> None:
    heard: list[tuple[str, tuple[Any, ...]]] = []
    calls: dict[str, tuple[Any, ...]] = {
        "node": (1, 2, "a"),
        "say": ("text",),
        "advance": (1, 2, {}),
        "tell": ("train", {}),
        "reused": (),
        "done": (),
    }
    public = {name for name in vars(Progress) if not name.startswith("_")}
    assert set(calls) | {"close"} == public  # who opened a terminal closes it

    class Hearing(Progress):
        def __getattribute__(self, name: str) -> Any:
            return lambda *arguments: heard.append((name, arguments))

    both = Several(Hearing(), Hearing())
    for name, arguments in calls.items():
        getattr(both, name)(*arguments)
    assert heard == [item for item in calls.items() for _ in range(2)]
