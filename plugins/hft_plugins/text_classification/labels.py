"""Labels as words: how they are read, ordered, and missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from hft_core import DataError, Facts, RecipeError


def _from_yaml(value: Any) -> Any:
    """YAML reads the label `1` as a number; labels are texts."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Label = Annotated[str, BeforeValidator(_from_yaml)]
"""A label in a recipe."""


def as_word(value: Any) -> str:
    """Give a label as text: files give text, JSON may give numbers and booleans; nothing is the empty text."""
    return "" if value is None else str(value).strip()


def learned_labels(counts: Mapping[str, int]) -> Facts:
    """Give the facts `labels`, in their natural order, and their `counts`."""
    labels = sorted(counts, key=_natural)
    return {"labels": labels, "counts": [counts[label] for label in labels]}


def listed_unknown(where: str, unknown: Counter[str], facts: Facts) -> DataError:
    """Say which labels the training split lacks."""
    listed = ", ".join(f"{word!r} ({count} rows)" for word, count in unknown.most_common(5))
    known = ", ".join(map(repr, facts["labels"][:20]))
    return DataError(
        f"{where} has labels that the training split lacks: {listed}; it knows {known}. Correct the labels, or add such "
        "rows to train"
    )


def factors(wanted: Mapping[str, float], labels: Sequence[str], field: str) -> NDArray[np.float32]:
    """Give the factor of each label, float32 [labels]: that of the recipe's mapping, else 1.

    `field` is the mapping's place, for the message. Raises RecipeError for a label that there is not.
    """
    if unknown := [label for label in wanted if label not in labels]:
        raise RecipeError(f"{field} has {unknown[0]!r}, which is no label; the labels are {listed(labels)}")
    return np.array([wanted.get(label, 1.0) for label in labels], np.float32)


def listed(labels: Sequence[str]) -> str:
    """The first labels, for a message."""
    return ", ".join(map(repr, labels[:20])) + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers before words, by value."""
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
