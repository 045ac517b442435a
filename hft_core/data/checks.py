"""What is looked for in the rows of every run: leakage, conflicts, duplicates, balance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hft_core.components import Roles, Task
from hft_core.data.splitting import text_key
from hft_core.data.table import read_all, read_table

if TYPE_CHECKING:
    from hft_core.data.prepare import Prepared

Check = dict[str, Any]
"""{severity: ok | info | warning | error, title, detail}"""


def check_splits(files: Mapping[str, Path], task: Task, roles: Roles) -> list[Check]:
    """Compare the splits' texts; `files` are the rows as they were read, before any cleaning."""
    texts: dict[str, Counter[int]] = {}
    targets: dict[int, set[str]] = defaultdict(set)
    balance: Counter[str] = Counter()
    for split, file in files.items():
        keys: Counter[int] = Counter()
        for columns in read_table(file):
            for index in range(len(columns[roles.text[0]])):
                key = text_key(columns, roles, index)
                keys[key] += 1
                if split == "train" and roles.target:
                    target = str(columns[roles.target[0]][index])
                    targets[key].add(target)
                    balance[target] += 1
        texts[split] = keys
    checks = _leakage(texts) + _repeats(texts) + _conflicts(targets)
    return checks + (_balance(balance) if task.classes else [])


def check_corpus(name: str, corpus: Prepared, task: Prepared) -> list[Check]:
    """Say how many texts of a held-out split stand in unlabelled text too: a model may learn them there."""
    known = {
        text_key(columns, corpus.roles, index)
        for columns in read_table(corpus.file("text"))
        for index in range(len(columns[corpus.roles.text[0]]))
    }
    checks: list[Check] = []
    for split in ("validation", "test"):
        columns = read_all(task.file(split))
        total = len(columns.get(task.roles.text[0], []))
        rows = sum(text_key(columns, task.roles, index) in known for index in range(total))
        if rows:
            severity = "error" if rows > 0.01 * total else "warning"
            title = f"Leakage: {rows} of {total} {split} texts stand in {name} too"
            detail = "Their labels do not, but their figures may still flatter the model. Remove these texts."
            checks.append({"severity": severity, "title": title, "detail": detail})
    return checks


def _leakage(texts: Mapping[str, Counter[int]]) -> list[Check]:
    checks: list[Check] = []
    order = [split for split in ("train", "validation", "test") if split in texts]
    for index, first in enumerate(order):
        for second in order[index + 1 :]:
            shared = texts[first].keys() & texts[second].keys()
            rows = sum(texts[second][key] for key in shared)
            if rows:
                total = texts[second].total()
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


def _repeats(texts: Mapping[str, Counter[int]]) -> list[Check]:
    checks: list[Check] = []
    for split, keys in texts.items():
        if repeated := keys.total() - len(keys):
            detail = (
                "The cleaner exact-duplicates drops them." if split == "train" else "They count twice in its figures."
            )
            checks.append({"severity": "info", "title": f"{repeated} repeated rows in {split}", "detail": detail})
    return checks


def _conflicts(targets: Mapping[int, set[str]]) -> list[Check]:
    conflicting = sum(len(found) > 1 for found in targets.values())
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
