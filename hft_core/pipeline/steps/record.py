"""What a stage measures while it trains: one line per logged step and per validation, kept beside its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hft_core.pipeline.jsonl import JsonLines, now, read_lines
from hft_core.pipeline.steps.common import Process

if TYPE_CHECKING:
    from hft_core.training.streams import LiveStream

FILE = "metrics.jsonl"
MEASURED = ("train", "validation")
"""Events of a stage that are kept as lines; the others are only told."""


class StageRecord:
    """Passes on what the loop tells, and keeps what it measured, with the time.

    A resumed stage goes back to its checkpoint: what was measured after that step is cut, for it is measured again. So
    the lines are those of a stage that nothing interrupted, but for their times. They name neither run nor stage: a stage
    may be reused by other runs, and under another name.
    """

    def __init__(self, streams: Sequence[LiveStream], process: Process):
        self._process = process
        self._pace = Pace(streams)
        self._file = JsonLines(process.work / FILE, process.say)
        self._lines: list[Mapping[str, Any]] = []

    def advance(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """A step is done."""
        self._pace.step(step, steps)
        self._process.advance(step, steps, figures)

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Something happened, see `Job.tell`."""
        if event == "resumed":
            self._lines = [line for line in read_lines(self._file.path) if line.get("step", 0) <= fields["step"]]
            self._file.begin(self._lines)
            fields = {**fields, "earlier": list(self._lines)}
        elif event in MEASURED:
            rates = self._pace.rates() if event == "train" else {}
            fields = {"kind": event, "time": now(), **fields, **rates}
            if self._lines:
                self._file.append(fields)
            else:  # an earlier try that came to no checkpoint does not count
                self._file.begin([fields])
            self._lines.append(fields)
        if event != "train":
            self._pace.rest()
        self._process.tell(event, fields)

    def keep(self, out: Path) -> None:
        """Put the lines among the stage's outputs."""
        self._file.close()
        kept = JsonLines(out / FILE, self._process.say)
        kept.begin(self._lines)
        kept.close()


class Pace:
    """Rows and tokens per second of training; the time that validations and checkpoints take does not count."""

    def __init__(self, streams: Sequence[LiveStream]):
        self._streams = streams
        self._since: float | None = None
        self._reset()

    def _reset(self) -> None:
        self._seconds, self._rows, self._tokens = 0.0, 0, 0

    def step(self, step: int, steps: int) -> None:
        """Count a step that has just been done; the first one only starts the clock."""
        now = time.monotonic()
        if self._since is not None:
            self._seconds += now - self._since
            for stream in self._streams:
                if stream.weight((step - 1) / max(1, steps - 1)):
                    part = stream.order.batch(step - 1)
                    self._rows += len(part.entries)
                    self._tokens += int(stream.order.index(part.shard).lengths[part.entries].sum())
        self._since = now

    def rest(self) -> None:
        """Leave out the time since the last step."""
        if self._since is not None:
            self._since = time.monotonic()

    def rates(self) -> dict[str, float | None]:
        """Rates since they were last asked for; null where no step was counted."""
        rows, tokens = (
            round(count / self._seconds, 1) if self._seconds else None for count in (self._rows, self._tokens)
        )
        self._reset()
        return {"rows_per_second": rows, "tokens_per_second": tokens}
