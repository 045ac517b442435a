"""Filter of rows whose label is probably wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from hft_core import Columns, DataError, Roles, RowFilter, doubted_labels, joined_texts
from hft_plugins.cleaners.rows import slices


class LabelNoiseFilter(RowFilter):
    """Drops rows whose label is probably wrong, by confident learning as in cleanlab (reason `doubtful-label`).

    Each row is judged by models that were trained without it (TF-IDF with logistic regression, five folds). Hard rows
    look like wrong ones: use it with `when: helps`, or look at the rows with `hft inspect --doubts` and correct them.
    For a task with one label per row; all texts are held in memory.
    """

    type: Literal["label-noise"]
    maximum: float = Field(default=0.05, gt=0, le=0.5)
    """Share of the rows that go at most, the most doubtful ones."""

    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)

    def reasons(self, batches: Iterable[Columns], roles: Roles) -> Iterator[list[str | None]]:
        """Read all rows, then give a reason or None for each."""
        texts: list[str] = []
        labels: list[str] = []
        sizes: list[int] = []
        for batch in batches:
            rows = len(batch[roles.text[0]])
            sizes.append(rows)
            texts += joined_texts(batch, roles)
            target = next((name for name in roles.target if name in batch), None)
            if target is None:
                labels += [""] * rows  # unlabelled text: nothing to doubt
                continue
            if any(isinstance(value, (list, dict)) for value in batch[target]):
                raise DataError(
                    f"prepare.clean: label-noise needs one label per row, and the column {target!r} has lists; remove it"
                )
            labels += map(str, batch[target])
        doubts = doubted_labels(texts, labels)
        surest = np.flatnonzero(doubts.doubtful)
        surest = surest[np.argsort(doubts.probability[surest], kind="stable")][: int(self.maximum * len(texts))]
        dropped = np.isin(np.arange(len(texts)), surest).tolist()
        for part in slices(sizes):
            yield ["doubtful-label" if drop else None for drop in dropped[part]]
