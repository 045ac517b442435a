"""Progress: a bar on a terminal, plain lines elsewhere, nothing for programs that do not want it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from hft_core.report.numbers import duration

_EVERY = 10.0  # seconds between plain lines of one stage


class Progress:
    """Tells nothing; the base of those that do."""

    def node(self, number: int, total: int, name: str) -> None:
        """A node begins."""

    def say(self, text: str) -> None:
        """Something worth knowing."""

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """A training step is done."""

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Something happened within a stage: `resumed`, `train`, `validation` or `checkpoint`, with its figures."""

    def reused(self) -> None:
        """The node's output was in the store."""

    def done(self) -> None:
        """The node was made."""

    def close(self) -> None:
        """Nothing more follows."""


class Several(Progress):
    """Passes everything on to several."""

    def __init__(self, *all_: Progress):
        self.all = all_

    def node(self, number: int, total: int, name: str) -> None:
        """A node begins."""
        for one in self.all:
            one.node(number, total, name)

    def say(self, text: str) -> None:
        """Something worth knowing."""
        for one in self.all:
            one.say(text)

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """A training step is done."""
        for one in self.all:
            one.advance(step, steps, figures)

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Something happened within a stage."""
        for one in self.all:
            one.tell(event, fields)

    def reused(self) -> None:
        """The node's output was in the store."""
        for one in self.all:
            one.reused()

    def done(self) -> None:
        """The node was made."""
        for one in self.all:
            one.done()


class Lines(Progress):
    """Plain lines with the time since the beginning."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.began = time.monotonic()
        self.stage_began = self.told = self.began
        self.first: tuple[int, float] | None = None
        self.title = ""

    def line(self, text: str) -> None:
        """Print one line."""
        elapsed = time.monotonic() - self.began
        print(f"[{int(elapsed) // 60:02d}:{elapsed % 60:04.1f}] {text}", file=self.stream, flush=True)

    def node(self, number: int, total: int, name: str) -> None:
        """Remember the title; it is printed with the outcome."""
        self.title = f"{number}/{total} {name}"
        self.first = None
        self.stage_began = self.told = time.monotonic()

    def say(self, text: str) -> None:
        """Print under the current node."""
        self.line(f"{self.title}: {text}")

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """Print now and then."""
        now = time.monotonic()
        if self.first is None:  # what is left is reckoned from here: loading and the trial batches are no steps
            self.first, self.told = (step, now), now
        if now - self.told < _EVERY or step == steps:
            return
        self.told = now
        rate = (step - self.first[0]) / (now - self.first[1])
        left = duration((steps - step) / rate)
        self.line(f"{self.title}: step {step}/{steps}, {_shown(figures)}, {_rate(rate)}, about {left} left")

    def reused(self) -> None:
        """Say so."""
        self.line(f"{self.title}: in the store already")

    def done(self) -> None:
        """Say how long it took."""
        self.line(f"{self.title}: done in {duration(time.monotonic() - self.stage_began)}")


class Bars(Lines):
    """The same lines, and a bar for the stage that is being trained, with its figures below."""

    def __init__(self) -> None:
        from rich.console import Console

        super().__init__()
        self.console = Console(stderr=True, highlight=False)
        self.figures = ""
        self.bar: Any = None
        self.task: Any = None

    def _begin(self, step: int, steps: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column
        from rich.text import Text

        bars = self

        class Display(RichProgress):
            def get_renderables(self) -> Iterable[Any]:
                yield from super().get_renderables()
                yield Text(f"    {bars.figures}", no_wrap=True, overflow="ellipsis")

        # What does not fit is cut: a line that wraps would scroll the screen away.
        self.bar = Display(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"), markup=False),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            get_time=time.monotonic,
            transient=True,
            expand=True,
        )
        self.task = self.bar.add_task(self.title, total=steps, completed=step, rate="")
        self.bar.start()

    def line(self, text: str) -> None:
        """Print above the bar."""
        from rich.text import Text

        elapsed = time.monotonic() - self.began
        self.console.print(Text.assemble((f"{int(elapsed) // 60:02d}:{elapsed % 60:04.1f} ", "dim"), text))

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """Move the bar."""
        self.figures = _shown(figures)
        if self.bar is None:
            self._begin(step, steps)
        speed = self.bar.tasks[0].speed
        self.bar.update(self.task, completed=step, rate=_rate(speed) if speed else "")

    def done(self) -> None:
        """Take the bar away."""
        self._remove()
        super().done()

    def close(self) -> None:
        """Leave the terminal clean."""
        self._remove()

    def _remove(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def for_terminal() -> Progress:
    """Bars on a terminal, lines elsewhere."""
    return Bars() if sys.stderr.isatty() else Lines()


def _shown(figures: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if name == "lr" else f"{name} {value:.3f}" for name, value in figures.items()
    )


def _rate(per_second: float) -> str:
    """Steps per second, or seconds per step where a step takes longer than one."""
    return f"{per_second:.1f} steps/s" if per_second >= 1 else f"{1 / per_second:.1f} s/step"
