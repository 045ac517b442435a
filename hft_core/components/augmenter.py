"""Augmenter: edits that make variants of training texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hft_core.components.base import Component
from hft_core.components.reader import Columns
from hft_core.components.task import HeadSpec, Roles
from hft_core.runtime.edits import Edit
from hft_core.runtime.randomness import RowRandom

if TYPE_CHECKING:
    from hft_core.components.model import Preprocessor
    from hft_core.components.net import Net

Spans = Sequence[tuple[int, int]]
"""Protected stretches of one text: (start, end) in characters. An edit that touches one is refused."""


@dataclass(frozen=True)
class TextBatch:
    """One text column of a batch of rows."""

    texts: Sequence[str]
    """One text per row."""
    spans: Sequence[Spans]
    """Protected stretches of each text."""
    columns: Columns
    """All columns of these rows."""
    first: bool = True
    """Whether it is the column that the task's spans refer to."""


Editor = Callable[[TextBatch, RowRandom], list[list[Edit]]]
"""What makes the edits of a batch, one list per text."""


def _no_rows() -> Iterator[Columns]:
    return iter(())


@dataclass(frozen=True)
class Training:
    """What an augmenter may learn from before it makes the first edit."""

    rows: Callable[[], Iterator[Columns]] = _no_rows
    """Reads the training rows, cleaned, in batches, as often as it is called."""
    roles: Roles = field(default_factory=lambda: Roles(text=("text",)))
    """Which columns play which part."""
    label: str | None = None
    """The column with the label, where each row has one out of a set."""
    net: Callable[[Mapping[str, HeadSpec]], tuple[Net, Preprocessor]] | None = None
    """Builds the recipe's model with these heads; for augmenters that say `reads_model` only."""


class Augmenter(Component):
    """Base of augmenters. The engine applies the edits, and shifts tags and offsets accordingly."""

    kind: ClassVar[str] = "augmenter"
    lexical: ClassVar[bool] = True
    """Whether it costs little and needs no model, so that it may be `fresh`."""
    reads_model: ClassVar[bool] = False
    """Whether it needs the recipe's model, see `Training.net`."""
    replaces_spans: ClassVar[bool] = False
    """Whether it may replace a protected stretch as a whole, by another that is one."""

    copies: int = Field(default=1, ge=1, le=100)
    """How many variants are made of each training row; epoch e trains on variant e mod (copies + 1), 0 being the original."""
    fresh: bool = False
    """Make the variants anew whenever their epoch comes, as a function of seed, epoch and row, beside training (give the
    stage `workers`): no variant comes twice. For augmenters without a model."""
    check: Literal["tfidf"] | Path | None = None
    """Drop variants whose predicted label is not that of their original; the report says how many. `tfidf`: by TF-IDF and
    logistic regression, trained on the other half of the training rows; a folder: by this bundle. For tasks with one
    label a row."""

    @model_validator(mode="after")
    def _fresh_is_cheap(self) -> Self:
        if self.fresh and not self.lexical:
            raise ValueError(f"{self.type_name()} needs a model, so its variants are made once; leave out `fresh`")
        if self.fresh and self.check:
            raise ValueError(
                "`fresh` variants are made during training, where none can be checked; leave out one of both"
            )
        return self

    @abstractmethod
    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give the edits of each text, as a function of the text, its spans and its row's random numbers only.

        Args:
            texts: one text per row.
            spans: protected stretches of each text.
            random: draws per row; row i's are independent of the other rows in the batch.
        """

    def editor(self, training: Training) -> Editor:
        """Give what makes the edits; the engine asks for it once, before the first batch. By default `edits`."""
        return lambda batch, random: self.edits(batch.texts, batch.spans, random)


class LearningAugmenter(Augmenter):
    """Base of augmenters that learn from the training rows, or read more of a row than its text."""

    @abstractmethod
    def editor(self, training: Training) -> Editor:
        """Learn, and give what makes the edits; the same rows must give the same edits."""

    def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
        """Give the edits of one that has learned nothing."""
        return self.editor(Training())(TextBatch(texts, spans, {}), random)
