"""The tasks of an export at work: their validation rows, and what model and bundle make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hft_core import Call, Columns, DataError, Finished, Prediction
from hft_plugins.onnx.decisions import decision_gates, sampled
from hft_plugins.onnx.gates import Gate, of
from hft_plugins.onnx.subject import Subject
from hft_plugins.onnx.tokenizer import tokenizer_gates
from hft_plugins.onnx.ways import Way, live, shipped


@dataclass(frozen=True)
class Part:
    """One task."""

    name: str
    """Its name in the bundle; empty where it is the only one."""
    run: Finished
    """What it is, and what it has learned."""
    rows: Columns
    """Validation rows as they were read."""
    as_run: Way
    """From rows to predictions as the run goes."""
    as_bundle: Way
    """The same as the bundle goes."""
    wanted: list[Prediction]
    """What the model predicts for `rows`."""

    @property
    def count(self) -> int:
        """The number of its rows."""
        return len(next(iter(self.rows.values())))

    def decisions(self, precision: str, call: Call) -> list[Gate]:
        """Compare what `call` makes of the rows with what the model makes of them."""
        return of(
            self.name,
            decision_gates(self.run, self.rows, precision, self.wanted, self.as_bundle.predict(self.rows, call)),
        )

    def tokens(self) -> list[Gate]:
        """Compare what both ways give the model to read."""
        return of(self.name, tokenizer_gates(self.run.validation, self.as_run, self.as_bundle))


def parts_of(subject: Subject, described: Mapping[str, Any], folder: Path) -> list[Part]:
    """Give the parts of a bundle that is `described` so far, with its preprocessor in `folder`.

    Raises DataError for a task without a validation row.
    """
    found = []
    for name, run in subject.tasks.items():
        rows = sampled(run.validation)
        if not next(iter(rows.values()), []):
            of_task = f" of the task {name!r}" if name else ""
            raise DataError(
                f"onnx export: no validation row{of_task} to compare the export with; set `data: validation:` or `split:`"
            )
        as_run = live(run)
        found.append(Part(name, run, rows, as_run, shipped(described, folder, name), as_run.predict(rows, run.call)))
    return found
