"""Exporter: anything that is made of a finished model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hft_core.components.base import Component
from hft_core.components.cleaner import TextCleaner
from hft_core.components.metric import Metric
from hft_core.components.model import Model, Preprocessor
from hft_core.components.reader import Columns
from hft_core.components.task import Call, Facts, Task

if TYPE_CHECKING:
    from hft_core.components.net import Net


@dataclass(frozen=True)
class Finished:
    """What a run has when an exporter starts; everything an exporter may read."""

    name: str
    """The recipe's name."""
    head: str
    """The task's name in the recipe, which is its head's name in the net."""
    task: Task
    """The task, bound to its columns."""
    facts: Facts
    """What it has learned."""
    model: Model
    """The recipe's model; its `graphs` gives what there is to export."""
    preprocessor: Preprocessor
    """The one that the net was trained with."""
    cleaners: Sequence[TextCleaner]
    """The recipe's text cleaners, in order."""
    validation: Columns
    """Real rows as they were read, before cleaning: what a user would give to the bundle."""
    metrics: Sequence[Metric]
    """The metrics of the task, in order."""
    call: Call
    """Runs the trained net in torch, as evaluation does: what an export has to equal."""
    folder: Path
    """The finished model's folder, as `transformers` loads it."""
    card: dict[str, Any] = field(default_factory=dict)
    """Facts for the model card and manifest: seeds, versions, test figures."""
    texts: bool = True
    """Whether texts of the data may stand in what is written: the recipe's `report.texts`."""
    others: Sequence[Finished] = ()
    """The other tasks of the same net, where the exporter `joins` tasks."""


@dataclass(frozen=True)
class Mark:
    """A stretch of a text, and what it counts."""

    start: int
    """Its first character."""
    end: int
    """The one behind its last."""
    weight: float
    """-1 to 1: how strongly it is shown, as something that speaks for (above 0) or against (below 0)."""


@dataclass(frozen=True)
class Passage:
    """A text with marks, which the report shows in colours and underlined."""

    text: str
    """As the user gave it."""
    marks: Sequence[Mark]
    """In the text's order; they do not overlap."""
    title: str = ""
    """What stands above it."""


@dataclass(frozen=True)
class Section:
    """What an exporter adds to the report."""

    title: str
    """Its heading."""
    text: str = ""
    """A few sentences for a person."""
    table: Sequence[dict[str, Any]] = ()
    """Rows with the same keys."""
    svg: str = ""
    """A drawing, as one `svg` element; empty: none."""
    passages: Sequence[Passage] = ()
    """Texts with marks, such as words that a prediction rests on."""
    data: dict[str, Any] = field(default_factory=dict)
    """The same for machines; lands in report.json."""
    refused: Sequence[str] = ()
    """Variants that were not written because they do not behave like the model, one sentence each; the run keeps all
    else and ends with exit code 9."""


class Exporter(Component):
    """Base of exporters."""

    kind: ClassVar[str] = "exporter"
    needs_distributions: ClassVar[bool] = False
    """Whether what it writes imports the task's and cleaners' code later, which a loose plugin file cannot give."""

    needs_graphs: ClassVar[bool] = False
    """Whether it exports the model's `graphs`, so that a model that can give none is refused before it is trained."""

    @property
    def joins(self) -> bool:
        """Whether it makes one thing of all tasks, instead of one for each."""
        return False

    def refusal(self, task: Task) -> str | None:
        """Say in words why it cannot be made of this task; None: nothing speaks against it.

        Asked before anything is trained, of a task that is not bound to its columns yet.
        """
        return None

    @abstractmethod
    def export(self, net: Net, run: Finished, folder: Path, log: Callable[[str], None]) -> Section | None:
        """Write into the empty `folder`. Raises DamagedError where the result does not behave like the model."""
