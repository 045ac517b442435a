"""One component under test, and what a check may ask for: instances, a net, a stream of its rows."""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pydantic import ValidationError

from hft_core.components import (
    Columns,
    Component,
    Facts,
    HeadSpec,
    Model,
    Objective,
    Optimizer,
    Preprocessor,
    Stream,
    Task,
)
from hft_core.registry import Plugin, Registry
from hft_core.runtime.ragged import Arrays, Ragged
from hft_core.testing.sample import Sample

if TYPE_CHECKING:
    from hft_core.components.net import Net

HEAD = "main"
"""The name of the head that checks train."""


_USUAL: dict[str, dict[str, Any]] = {Objective.kind: {"data": "train"}, Optimizer.kind: {"lr": 0.05}}
"""What components of a kind have to be given, and what does for a check."""


class Unchecked(Exception):
    """A check that cannot be made of a component as it is sampled; the message says what is missing."""


@dataclass
class Subject:
    """A component class of a plugin, with its sample."""

    plugin: Plugin
    cls: type[Component]
    sample: Sample
    registry: Registry
    prepared: Path | None = None
    """A folder that has the sample's files already."""
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """Kind and type, as check ids name it."""
        return f"{self.cls.kind}/{self.cls.type_name()}"

    @property
    def folder(self) -> Path:
        """A folder with the sample's files."""
        if self.prepared is not None:
            return self.prepared
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="hft-check-")
            for name, content in self.sample.files.items():
                file = Path(self._folder.name, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.encode() if isinstance(content, str) else content)
            if self.sample.prepare is not None:
                self.sample.prepare(Path(self._folder.name))
        return Path(self._folder.name)

    def make(self, **changes: Any) -> Any:
        """Make the component from its sample's settings. Raises AssertionError where they do not do."""
        settings = {"type": self.cls.type_name(), **_USUAL.get(self.cls.kind, {}), **self.sample.settings, **changes}
        return self.entry(self.cls.kind, settings)

    def entry(self, kind: str, settings: Mapping[str, Any]) -> Any:
        """Make any installed component, as an entry of a recipe is made."""
        from hft_core.recipe.narrow import narrowed

        model = narrowed(self.registry, kind).get(str(settings["type"]))
        assert model is not None, self.registry.explain_missing(kind, settings["type"])
        try:
            return model.model_validate(dict(settings), context={"folder": self.folder})
        except ValidationError as error:
            lacking = [str(item["loc"][0]) for item in error.errors() if item["type"] == "missing"]
            hint = f"give a Sample with settings for {', '.join(lacking)}" if lacking else str(error)
            raise AssertionError(f"{kind} {settings['type']!r} cannot be made of {dict(settings)}: {hint}") from None

    @cached_property
    def task(self) -> Task:
        """The sample's task, bound to the sample's rows; the component itself, where that is a task."""
        made = self.make() if self.cls.kind == Task.kind else self.entry(Task.kind, self.sample.task)
        return cast(Task, made).bind(self.sample.columns)

    @cached_property
    def facts(self) -> Facts:
        """What the task learns from the sample's rows."""
        return self.task.learn([self.rows()])

    @cached_property
    def model(self) -> Model:
        """The sample's model; the component itself, where that is a model."""
        made = self.make() if self.cls.kind == Model.kind else self.entry(Model.kind, self.sample.model)
        return cast(Model, made)

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """The model's, made of the sample's texts."""
        columns = self.sample.columns
        texts = [text for values in columns.values() for text in values if isinstance(text, str)]
        return self.model.preprocessor(self.model.locate(), [*self.sample.texts, *texts] * 3)

    @cached_property
    def stream(self) -> Stream:
        """The sample's rows as the objective sees them."""
        of_task = self.objective.task is not None
        return Stream(
            self.preprocessor, self.task.roles(), self.task if of_task else None, self.facts if of_task else {}
        )

    @cached_property
    def objective(self) -> Objective:
        """The objective under test; for techniques and tasks that of the sample, by default the task's own."""
        if self.cls.kind == Objective.kind:
            return cast(Objective, self.make(**self._of_the_task(self.cls)))
        settings = self.sample.objective or {"type": self.task.objective}
        cls = self.registry.classes(Objective.kind).get(settings["type"])
        assert cls is not None, self.registry.explain_missing(Objective.kind, settings["type"])
        return cast(Objective, self.entry(Objective.kind, {**self._of_the_task(cls), **settings}))

    @staticmethod
    def _of_the_task(cls: type[Component]) -> dict[str, Any]:
        needs = getattr(cls, "needs_task", False)
        return _USUAL[Objective.kind] | ({"task": HEAD} if needs else {})

    def head(self) -> HeadSpec:
        """The head that the objective trains."""
        objective = self.objective
        spec = objective.head(self.stream) if objective.own_head or objective.trained_task is None else None
        return spec or self.task.head(self.facts)

    def net(self) -> Net:
        """A new net with the head HEAD, always with the same weights."""
        import torch

        torch.manual_seed(0)
        return self.model.build(self.model.locate(), self.preprocessor, {HEAD: self.head()})

    def rows(self) -> Columns:
        """A copy of the sample's rows as the task arranges them, for a check to spoil."""
        return self.task.arrange(copy.deepcopy(self.sample.columns))


@contextmanager
def untouched(*values: Any) -> Iterator[None]:
    """Fail where what stands inside changes one of `values`."""
    before = [digest(value) for value in values]
    yield
    for old, value in zip(before, values, strict=True):
        assert digest(value) == old, "it changes what it was given; work on a copy"


def digest(value: Any) -> str:
    """A hash of nested plain values and arrays, the same in every process."""
    return hashlib.sha256(json.dumps(plain(value), ensure_ascii=True, sort_keys=True).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Nested values as JSON can say them; floats to 9 digits, arrays by their bytes."""
    if isinstance(value, Ragged):
        return [plain(value.values), plain(value.offsets)]
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return plain(value.tolist())
        return [str(value.dtype), list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, float):
        return f"{value:.9g}"
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return repr(value)


def entries(arrays: Arrays) -> int:
    """How many entries named arrays have. Raises AssertionError where they are not equally long."""
    lengths = {name: len(array) for name, array in arrays.items()}
    assert lengths, "there are no arrays"
    assert len(set(lengths.values())) == 1, f"all arrays need one entry per row or window, found {lengths}"
    return next(iter(lengths.values()))
