"""The task `image-text-classification`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self

import numpy as np

from hft_core import Arrays, Columns, DataError, Facts, HeadSpec, Prediction, Roles, Task


class ImageTextClassification(Task):
    """One label for an image and a text together."""

    type: Literal["image-text-classification"]
    text: str = "text"
    """Column with the text."""
    image: str = "image"
    """Column with the image: a PNG file as base64 text."""
    label: str = "label"
    """Column with the label."""

    objective: ClassVar[str] = "classification"
    runtime: ClassVar[str] = "hft_image_text.runtime"
    gives: ClassVar[frozenset[str]] = frozenset({"label", "score", "scores"})
    default_metrics: ClassVar[tuple[dict[str, Any], ...]] = ({"type": "accuracy"},)
    target_form: ClassVar[Literal["label"]] = "label"

    def bind(self, sample: Columns) -> Self:
        """The columns have names already; see that they are there."""
        for column in (self.text, self.image, self.label):
            if column not in sample:
                raise DataError(f"task: the data has no column {column!r}; its columns are {', '.join(sample)}")
        return self

    def roles(self) -> Roles:
        """The image is an input beside the text, which no cleaner touches."""
        return Roles(text=(self.text,), inputs=(self.image,), target=(self.label,))

    def refusals(self, columns: Columns) -> list[str | None]:
        """A row needs a text, a label, and an image that can be read."""
        from hft_image_text.pixels import opened

        return [
            "empty-text"
            if not isinstance(text, str) or not text.strip()
            else "empty-label"
            if not isinstance(label, str) or not label.strip()
            else "broken-image"
            if isinstance(opened(image), str)
            else None
            for text, image, label in zip(columns[self.text], columns[self.image], columns[self.label], strict=True)
        ]

    def learn(self, train: Iterable[Columns]) -> Facts:
        """Freeze the label map. Raises DataError where all rows have one label."""
        counts = Counter(label.strip() for columns in train for label in columns[self.label])
        if len(counts) < 2:
            raise DataError(f"task: the column {self.label!r} of train has only {', '.join(counts)!r}; two are needed")
        return {"labels": sorted(counts)}

    def head(self, facts: Facts) -> HeadSpec:
        """A linear layer over both vectors."""
        return HeadSpec("sequence-classification", size=len(facts["labels"]), labels=tuple(facts["labels"]))

    def targets(self, columns: Columns, arrays: Arrays, facts: Facts) -> Arrays:
        """`labels` int64, one per row."""
        labels = [facts["labels"].index(truth["label"]) for truth in self.truths(columns, facts)]
        return {"labels": np.array(labels, np.int64)}

    def truths(self, columns: Columns, facts: Facts) -> list[Prediction]:
        """``{"label": …}`` per row."""
        labels = [label.strip() for label in columns[self.label]]
        if unknown := sorted(set(labels) - set(facts["labels"])):
            raise DataError(f"column {self.label!r} has labels that the training split lacks: {', '.join(unknown)}")
        return [{"label": label} for label in labels]
