"""What the preparation of a source leaves in its folder, for the steps that come behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.components import Columns, Facts, Roles, Task
from hft_core.data.keys import Keys, RowKeys
from hft_core.data.survey import Survey
from hft_core.data.table import read_all
from hft_core.store.hashing import digest_json

TEXT = "text"
"""The name under which a source of unlabelled text is kept."""
_KEYS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Prepared:
    """What the preparation of one source left in its folder: the source's rows, and those that were split off it."""

    folder: Path
    roles: Roles
    ledger: dict[str, Any]
    """By split."""
    checks: list[dict[str, Any]]
    facts: Facts
    """What the task learned from these rows; empty where it learns nothing from them."""
    bound: dict[str, Any]
    """Task settings that were settled from the data: names of its columns."""
    surveys: dict[str, Survey]
    """What each split looks like, as it was read; of unlabelled text nothing."""

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """Read prepared.json."""
        content = json.loads((folder / "prepared.json").read_text("utf-8"))
        roles = Roles(**{name: tuple(columns) for name, columns in content["roles"].items()})
        parts = (content[name] for name in ("ledger", "checks", "facts", "bound", "surveys"))
        return cls(folder, roles, *parts)

    def file(self, split: str) -> Path:
        """The Arrow file of a split, cleaned."""
        return self.folder / f"{split}.arrow"

    def raw(self, split: str) -> Columns:
        """The rows of a held-out split as they were read."""
        return read_all(self.folder / f"raw-{split}.arrow")

    def text_keys(self, split: str) -> Iterator[Keys]:
        """A hash of each row's texts as they were read, one per row, in pieces."""
        with keys_file(self.folder, split).open("rb") as file:
            while len(keys := np.fromfile(file, np.uint64, _KEYS_AT_ONCE)):
                yield keys

    def row_keys(self, split: str) -> RowKeys:
        """All hashes of each row as it was read, in the order of the rows."""
        return RowKeys(*(np.fromfile(keys_file(self.folder, split, kind), np.uint64) for kind in RowKeys._fields))

    def digest(self, split: str) -> str:
        """A hash of a split's rows with their labels, as they were read: other cleaning makes no others of them."""
        keys = self.row_keys(split)
        return digest_json([keys.exact.tobytes().hex(), keys.target.tobytes().hex()])


def bound_task(task: Task, prepared: Prepared) -> Task:
    """The recipe's task with the columns that the preparation of its training rows settled."""
    return task.model_copy(
        update={key: value for key, value in prepared.bound.items() if key in type(task).model_fields}
    )


def keys_file(folder: Path, split: str, kind: str = "text") -> Path:
    """The file of one sort of a split's keys: bare numbers, so that it is written and read in pieces."""
    return folder / f"{split}.{kind}.keys"
