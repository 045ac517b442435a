"""Progress: a bar on a terminal, plain lines elsewhere, nothing for programs that do not want it."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

_EVERY = 10.0  # seconds between plain lines of one stage


class Progress:
    """Tells nothing; the base of those that do."""

    def node(self, number: int, total: int, name: str) -> None:
        """A node begins."""

    def say(self, text: str) -> None:
        """Something worth knowing."""

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """A training step is done."""

    def reused(self) -> None:
        """The node's output was in the store."""

    def done(self) -> None:
        """The node was made."""

    def close(self) -> None:
        """Nothing more follows."""


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
        left = (now - self.first[1]) / (step - self.first[0]) * (steps - step)
        self.line(f"{self.title}: step {step}/{steps}, {_shown(figures)}, about {_duration(left)} left")

    def reused(self) -> None:
        """Say so."""
        self.line(f"{self.title}: in the store already")

    def done(self) -> None:
        """Say how long it took."""
        self.line(f"{self.title}: done in {_duration(time.monotonic() - self.stage_began)}")


class Bars(Lines):
    """The same lines, and a bar for the stage that is being trained."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        super().__init__()
        self.console = Console(stderr=True, highlight=False)
        self.bar: Any = RichProgress(
            TextColumn("        {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.task: Any = None

    def line(self, text: str) -> None:
        """Print above the bar."""
        from rich.text import Text

        elapsed = time.monotonic() - self.began
        self.console.print(Text.assemble((f"{int(elapsed) // 60:02d}:{elapsed % 60:04.1f} ", "dim"), text))

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """Move the bar."""
        if self.task is None:
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=steps, figures="")
        self.bar.update(self.task, completed=step, total=steps, figures=_shown(figures))

    def done(self) -> None:
        """Take the bar away."""
        self._remove()
        super().done()

    def close(self) -> None:
        """Leave the terminal clean."""
        self._remove()

    def _remove(self) -> None:
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.bar.stop()
            self.task = None


def for_terminal() -> Progress:
    """Bars on a terminal, lines elsewhere."""
    return Bars() if sys.stderr.isatty() else Lines()


def _shown(figures: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if name == "lr" else f"{name} {value:.3f}" for name, value in figures.items()
    )


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{int(seconds) // 60} min {int(seconds) % 60} s"
