"""Setting rows of `train` aside for validation and test: by a hash of the text, within each label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from hft_core.components import Columns, Roles
from hft_core.runtime.randomness import key_of


def text_key(columns: Columns, roles: Roles, index: int) -> int:
    """Hash what a row gives the model; texts that differ only in case or whitespace count as the same."""
    texts = (" ".join(str(columns[name][index] or "").casefold().split()) for name in roles.text)
    return key_of(*texts, *(str(columns[name][index]) for name in roles.inputs))


def assign(batches: Iterable[Columns], roles: Roles, shares: Mapping[str, float], stratify: bool) -> list[str]:
    """Give the split of each row: `train`, or one of `shares`.

    Copies of a text go to the same split. The choice depends on texts and labels only, so rows that are
    added later do not move the others much. With `stratify` each label is split on its own.
    """
    groups: list[int] = []
    strata: dict[str, dict[int, int]] = defaultdict(dict)  # label -> text -> rows
    home: dict[int, str] = {}  # a text with two labels belongs to the first
    for columns in batches:
        labels = columns[roles.target[0]] if stratify and roles.target else None
        for index in range(len(columns[roles.text[0]])):
            key = text_key(columns, roles, index)
            label = home.setdefault(key, str(labels[index]) if labels is not None else "")
            strata[label][key] = strata[label].get(key, 0) + 1
            groups.append(key)
    split_of: dict[int, str] = {}
    for texts in strata.values():
        total = sum(texts.values())
        remaining = sorted(texts)
        for split, share in shares.items():
            wanted, taken = round(share * total), 0
            while remaining and taken < wanted:
                key = remaining.pop()
                split_of[key] = split
                taken += texts[key]
    return [split_of.get(key, "train") for key in groups]
