"""A run as `hft compare` reads it: its report, what it remembers of its nodes, and what the store keeps of each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from hft_core.components import Metric, Task
from hft_core.errors import DamagedError, DataError, PluginError, RecipeError
from hft_core.evidence.comparison import Values, pseudo_values
from hft_core.pipeline.folder import recorded
from hft_core.pipeline.rewrite import read_report
from hft_core.pipeline.steps.common import read_json
from hft_core.recipe.plugins import registry_for
from hft_core.registry import Registry
from hft_core.store.store import Store

Shape = TypeVar("Shape", bound=BaseModel)


class _Figure(BaseModel):
    value: float | None
    low: float | None
    high: float | None


class _Headline(BaseModel):
    split: str
    metric: str
    greater_is_better: bool


class Rows(BaseModel):
    """Rows that were measured."""

    rows: int
    digest: str
    """Which ones, with their labels."""


class _Cost(BaseModel):
    cpu_seconds: float


class _Calibration(BaseModel):
    ece: float | None = None


class _Scores(BaseModel):
    calibration: _Calibration = _Calibration()


class Report(BaseModel):
    """What a comparison takes from report.json."""

    name: str
    created: datetime
    hft: str
    model: str
    task: str | None
    seeds: list[int] = Field(min_length=1)
    headline: _Headline | None
    metrics: dict[str, dict[str, _Figure]]
    measured: dict[str, Rows] = {}
    cost: _Cost | None = None
    scores: _Scores | None = None


class _Parts(BaseModel):
    kind: str
    settings: dict[str, Any]


class _Node(BaseModel):
    key: str
    parts: _Parts


class _Note(BaseModel):
    """What a comparison takes from run.json."""

    store: Path
    folder: Path
    recipe: dict[str, Any]
    nodes: dict[str, _Node]


@dataclass(frozen=True)
class Measure:
    """What a figure's title means in a run."""

    task: str
    """The name of the task that it measures."""
    form: str | None
    """The form of that task's targets, or its type where they have no usual one; None where it is not installed."""
    identity: Mapping[str, Any]
    """The metric's settings."""
    metric: Metric | None
    """The metric; None where it is not installed."""
    detail: bool
    """Whether it is one of the figures beside the metric's main one, such as `f1[neg]`."""


@dataclass(frozen=True)
class Side:
    """A run to be compared."""

    folder: Path
    content: Mapping[str, Any]
    """All of report.json."""
    report: Report
    note: _Note

    @classmethod
    def read(cls, folder: Path) -> Side:
        """Raises RecipeError for what is no run folder, DamagedError for one that lacks what a comparison needs."""
        content, note = read_report(folder), recorded(folder)
        if not note:
            raise DamagedError(f"{folder} has no run.json, so nothing is known of its recipe; run the recipe again")
        report = _checked(Report, content, folder / "report.json")
        return cls(folder, content, report, _checked(_Note, note, folder / "run.json"))

    @cached_property
    def _registry(self) -> Registry:
        return registry_for(self.note.recipe, folder=self.note.folder)

    @property
    def _evaluations(self) -> Iterator[_Node]:
        """Of all seeds and tasks, without those of plain fine-tuning."""
        for name, node in self.note.nodes.items():
            if node.parts.kind == "evaluate" and not name.startswith("plain: "):
                yield node

    def measure(self, figure: str) -> Measure | None:
        """Find what a figure's title means; None where run.json has no metric of this name."""
        try:
            return next(self._measures(figure, detail=False), None) or next(self._measures(figure, detail=True), None)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(self.folder / "run.json", repr(error)) from error

    def _measures(self, figure: str, detail: bool) -> Iterator[Measure]:
        for node in self._evaluations:
            name, task = node.parts.settings["task"]
            title = figure.removeprefix(f"{name}.")
            for identity in node.parts.settings["metrics"]:
                if title.startswith(f"{identity['name']}[") if detail else title == identity["name"]:
                    yield Measure(name, self._form(task), identity, self._metric(identity), detail)

    def _form(self, task: Mapping[str, Any]) -> str | None:
        known = self._classes(Task.kind).get(task["type"])
        return None if known is None else known.target_form or known.type_name()

    def _metric(self, identity: Mapping[str, Any]) -> Metric | None:
        known = self._classes(Metric.kind).get(identity["type"])
        return known.model_validate(dict(identity)) if known else None

    def _classes(self, kind: str) -> Mapping[str, Any]:
        """Nothing where a plugin that the recipe needs is not there: the run's own figures can be told all the same."""
        try:
            return self._registry.classes(kind)
        except (RecipeError, PluginError):
            return {}

    def rows(self, split: str, measure: Measure | None) -> Rows | None:
        """Which rows a figure was measured on; None where nothing says so any more."""
        deciding = self.measure(self.report.headline.metric) if self.report.headline else None
        if not measure or not deciding or measure.task == deciding.task:
            return self.report.measured.get(split)
        for folder, _ in self._kept(measure.task):  # the report says it of the task that decides
            return _checked(Rows, read_json(folder / f"{split}.json"), folder / f"{split}.json")
        return None

    def values(self, split: str, measure: Measure) -> list[Values]:
        """Pseudo-values of each seed's rows. Raises an HftError where they cannot be had."""
        if measure.metric is None:
            raise PluginError(f"the metric {measure.identity['type']!r} is not installed here")
        kept = self._kept(measure.task)
        if len(kept) != len(self.report.seeds):
            raise DataError("its store no longer has what each row came to")
        return [
            pseudo_values(
                measure.metric,
                np.load(folder / f"{split}.{identities.index(measure.identity)}.npy"),
                read_json(folder / "facts.json"),
            )
            for folder, identities in kept
        ]

    def _kept(self, task: str) -> list[tuple[Path, list[Mapping[str, Any]]]]:
        """The folders in the store with what each seed's model came to on a task, and by which metrics."""
        store = Store(self.note.store)
        return [
            (store.folder(node.key), node.parts.settings["metrics"])
            for node in self._evaluations
            if node.parts.settings["task"][0] == task and store.has(node.key)
        ]


def _checked(shape: type[Shape], content: Any, file: Path) -> Shape:
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(file, f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}") from error


def _damaged(file: Path, what: str) -> DamagedError:
    return DamagedError(f"{file} lacks what a comparison needs ({what}); run the recipe again")
