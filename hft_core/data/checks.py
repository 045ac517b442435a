"""What is looked for in the rows of every run: leakage, conflicts, duplicates, balance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Roles, Task
from hft_core.data.table import read_table

Check = dict[str, Any]
"""{severity: ok | info | warning | error, title, detail}"""
Keys = NDArray[np.uint64]
"""A hash of each row's texts."""
_SMALL_VALIDATION = 100


def check_rows(split: str, file: Path, keys: Keys, task: Task, roles: Roles) -> list[Check]:
    """Look at the rows of one split, as they were read: repeats, and in train conflicts and class balance."""
    checks = _repeats(split, keys)
    if split != "train" or not roles.target:
        return checks
    targets: dict[int, set[str]] = defaultdict(set)
    balance: Counter[str] = Counter()
    of_row = iter(keys.tolist())
    for columns in read_table(file):
        for value in columns[roles.target[0]]:
            targets[next(of_row)].add(str(value))
            balance[str(value)] += 1
    return checks + _conflicts(targets.values()) + (_balance(balance) if task.classes else [])


def check_splits(texts: Mapping[str, Keys], corpora: Mapping[str, Keys]) -> list[Check]:
    """Compare the texts of a task's splits with each other, and with unlabelled text."""
    checks = _leakage(texts)
    for name, keys in corpora.items():
        for split in ("validation", "test"):
            if split in texts:
                checks += _corpus_leakage(name, keys, split, texts[split])
    validation = len(texts["validation"])
    if validation < _SMALL_VALIDATION:
        checks.append(
            {
                "severity": "warning",
                "title": f"Only {validation} validation rows",
                "detail": f"Under {_SMALL_VALIDATION} rows the best epoch cannot be told from luck: the last weights are kept.",
            }
        )
    return checks


def _corpus_leakage(name: str, known: Keys, split: str, keys: Keys) -> list[Check]:
    """Say how many texts of a held-out split stand in unlabelled text too: a model may learn them there."""
    rows = int(np.isin(keys, known).sum())
    if not rows:
        return []
    severity = "error" if rows > 0.01 * len(keys) else "warning"
    title = f"Leakage: {rows} of {len(keys)} {split} texts stand in {name} too"
    detail = "Their labels do not, but their figures may still flatter the model. Remove these texts."
    return [{"severity": severity, "title": title, "detail": detail}]


def _leakage(texts: Mapping[str, Keys]) -> list[Check]:
    checks: list[Check] = []
    order = [split for split in ("train", "validation", "test") if split in texts]
    for index, first in enumerate(order):
        for second in order[index + 1 :]:
            rows, total = int(np.isin(texts[second], texts[first]).sum()), len(texts[second])
            if rows:
                checks.append(
                    {
                        "severity": "error" if rows > 0.01 * total else "warning",
                        "title": f"Leakage: {rows} of {total} {second} rows stand in {first} too",
                        "detail": "Their figures flatter the model. Remove these texts from one of the two files.",
                    }
                )
    if not checks and len(order) > 1:
        checks.append({"severity": "ok", "title": "No text stands in two splits", "detail": ", ".join(order)})
    return checks


def _repeats(split: str, keys: Keys) -> list[Check]:
    repeated = len(keys) - len(np.unique(keys))
    if not repeated:
        return []
    detail = "The cleaner exact-duplicates drops them." if split == "train" else "They count twice in its figures."
    return [{"severity": "info", "title": f"{repeated} repeated rows in {split}", "detail": detail}]


def _conflicts(targets: Iterable[set[str]]) -> list[Check]:
    conflicting = sum(len(found) > 1 for found in targets)
    if not conflicting:
        return []
    return [
        {
            "severity": "warning",
            "title": f"{conflicting} {'texts' if conflicting > 1 else 'text'} of train with conflicting labels",
            "detail": "The cleaner exact-duplicates drops them; better, correct the labels.",
        }
    ]


def _balance(balance: Counter[str]) -> list[Check]:
    if len(balance) < 2:
        return []
    (most, many), (least, few) = balance.most_common()[0], balance.most_common()[-1]
    shares = ", ".join(f"{label}: {count}" for label, count in balance.most_common(12))
    severity = "warning" if many > 10 * few else "info"
    title = f"Class balance {many / few:.1f} : 1 between {most} and {least}"
    return [{"severity": severity, "title": title, "detail": shares}]
