"""How the labels of a row are written: a list, a string with a separator, or a column of 0 and 1 for each label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hft_core import Columns
from hft_plugins.text_classification.labels import as_word

_SEPARATORS = ("|", ";", "；", "、", "，", ",")
_YES, _NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


def found_separator(values: Sequence[Any]) -> str:
    """Give what divides labels in a column's strings: the first of ``| ; ； 、 ， ,`` that stands in one, else ``|``."""
    texts = [value for value in values if isinstance(value, str) and not value.lstrip().startswith("[")]
    return next((mark for mark in _SEPARATORS if any(mark in text for text in texts)), _SEPARATORS[0])


def label_sets(columns: Columns, labels: str | Sequence[str], separator: str) -> list[list[str] | str]:
    """Give the labels of each row, in the order in which they are written, or why they cannot be used.

    Args:
        columns: the rows.
        labels: the column with all labels of a row, or one column of 0 and 1 (or false and true) for each label.
        separator: what stands between labels of one string; a string that begins with ``[`` is a JSON list.

    Reasons: `missing-labels`, `not-a-list-of-labels`, `empty-label`, `repeated-label`, `not-0-or-1`.
    """
    if isinstance(labels, str):
        return [_set_of(value, separator) for value in columns[labels]]
    return [_chosen(row, labels) for row in zip(*(columns[name] for name in labels), strict=True)]


def _set_of(value: Any, separator: str) -> list[str] | str:
    if value is None:
        return "missing-labels"
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return []
        value = _from_json(text) if text.startswith("[") else text.split(separator)
    if not isinstance(value, list):
        value = [value]  # a number, as a class
    if any(isinstance(one, list | dict) for one in value):
        return "not-a-list-of-labels"
    words = list(map(as_word, value))
    if not all(words):
        return "empty-label"
    if repeated := [word for word in words if words.count(word) > 1]:
        return f"repeated-label: {repeated[0]!r}"
    return words


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return [[]]  # no list of labels


def _chosen(row: Sequence[Any], labels: Sequence[str]) -> list[str] | str:
    chosen = []
    for label, value in zip(labels, row, strict=True):
        word = as_word(value).lower()
        if word in _YES:
            chosen.append(label)
        elif word not in _NO:
            return f"missing-labels: {label!r}" if not word else f"not-0-or-1: {label!r} is {as_word(value)[:50]!r}"
    return chosen
