"""Two ways from raw rows to predictions: as the run goes, with live components, and as its bundle goes, from JSON and files.

They must not differ: what a component does beside its runtime module, or knows beside its settings and facts, is lost in a
bundle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hft_core import Call, Columns, Facts, Finished, PluginError, Prediction
from hft_core.runtime.cleaning import clean_columns, restored
from hft_core.runtime.driver import Predicts, RuntimeTask, predict
from hft_core.runtime.heads import of_head


@dataclass(frozen=True)
class Way:
    """How raw rows become predictions, but for the `call` that runs the graphs."""

    task: Predicts
    """The task's functions."""
    preprocessor: Any
    """Makes arrays of cleaned columns."""
    cleaners: Sequence[Any]
    """Pairs of something with ``edits(settings, texts)`` and settings."""
    facts: Facts
    """What the task has learned."""
    texts: Sequence[str]
    """Columns that the cleaners clean."""
    head: str = ""
    """Of a graph with several heads, the one whose outputs the task reads."""

    def predict(self, columns: Columns, call: Call) -> list[Prediction]:
        """Give the predictions for raw rows."""
        cleaned, trails = clean_columns(columns, self.texts, self.cleaners)
        own = of_head(call, self.head) if self.head else call
        predictions = predict(self.task, cleaned, self.preprocessor, self.facts, own).predictions
        return [restored(prediction, trail) for prediction, trail in zip(predictions, trails, strict=True)]

    def encode(self, columns: Columns) -> dict[str, Any]:
        """Give what the graphs read of raw rows, before padding."""
        cleaned, _ = clean_columns(columns, self.texts, self.cleaners)
        return self.task.encode(cleaned, self.preprocessor, self.facts)


def live(run: Finished) -> Way:
    """Give the way of the run: the components' own methods."""
    cleaners: list[Any] = [
        (SimpleNamespace(edits=lambda _, texts, own=own: own.edits(texts)), {}) for own in run.cleaners
    ]
    return Way(run.task, run.preprocessor, cleaners, run.facts, run.task.roles().text)


def shipped(described: Mapping[str, Any], folder: Path, name: str = "") -> Way:
    """Give the way of a bundle's task: `described` is what bundle.json says, `folder` has its preprocessor's files."""
    task, preprocessor = described["tasks"][name] if name else described["task"], described["preprocessor"]
    texts = task["reads"][: len(described["text"])] if name else [*described["text"], *described.get("optional", [])]
    return Way(
        RuntimeTask(import_module(task["module"]), task["settings"]),
        import_module(preprocessor["module"]).load(folder, preprocessor["settings"]),
        [(import_module(cleaner["module"]), cleaner["settings"]) for cleaner in described["cleaners"]],
        task["facts"],
        texts,
        name,
    )


def as_json(described: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is read back of JSON. Raises PluginError, naming the place, for what JSON would lose or change."""
    if place := _lost(described, "bundle.json"):
        raise PluginError(
            f"onnx export: {place} cannot be represented in a bundle, which is plain JSON (text, finite numbers, booleans, "
            "null, lists, objects with text as keys); settings and facts of tasks, cleaners and preprocessors have to be"
        )
    read: dict[str, Any] = json.loads(json.dumps(described))
    return read


def _lost(value: Any, place: str) -> str | None:
    """Say where the first thing is that JSON does not hold, and what it is."""
    if isinstance(value, Mapping):
        if odd := next((key for key in value if not isinstance(key, str)), None):
            return f"{place} has the key {odd!r}, which"
        return next((lost for key, part in value.items() if (lost := _lost(part, f"{place}: {key}"))), None)
    if isinstance(value, list | tuple):
        return next((lost for index, part in enumerate(value) if (lost := _lost(part, f"{place}: {index}"))), None)
    finite = not isinstance(value, float) or value - value == 0
    return None if isinstance(value, str | int | float | None) and finite else f"{place} ({value!r})"
