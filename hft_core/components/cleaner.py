"""Cleaners: repairs of text, which also run at predict time, and filters of rows, which do not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any, ClassVar

from hft_core.components.base import Component
from hft_core.components.reader import Columns
from hft_core.components.task import Roles
from hft_core.runtime.edits import Edit


class Cleaner(Component):
    """Base of the two sorts of cleaners; derive from TextCleaner or RowFilter."""

    kind: ClassVar[str] = "cleaner"


class TextCleaner(Cleaner):
    """Repairs texts. Applied to every split and, through the bundle, at predict time.

    `runtime` names a module that imports only numpy, tokenizers and the standard library, with
    ``edits(settings: dict, texts) -> list[list[Edit]]``; the bundle names it too. It may have
    ``normalizer(settings) -> list[dict]`` besides: the same as steps of a normaliser in tokenizer.json, which an exporter
    writes there for other readers of the bundle once it has seen that the ids are the same.
    """

    runtime: ClassVar[str]
    """The module with what runs at predict time, too; named in the bundle."""

    def settings(self) -> dict[str, Any]:
        """Give the fields as plain JSON, as the runtime module gets them."""
        return self.model_dump(mode="json", exclude={"name", "when", "type"})

    def edits(self, texts: Sequence[str]) -> list[list[Edit]]:
        """Give the edits of each text; must be a pure function of text and settings."""
        result: list[list[Edit]] = import_module(self.runtime).edits(self.settings(), texts)
        return result


class RowFilter(Cleaner):
    """Drops rows of the training split (test and validation rows are never dropped)."""

    @abstractmethod
    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """For each batch give one entry a row: None keeps it, a short reason code drops it.

        Batches come in order and may be read once; a filter that needs all rows reads all of them first.
        """
