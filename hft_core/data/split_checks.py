"""What is looked for between the splits of a task, by every run and by `hft inspect`: leakage, exact and near, conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from hft_core.data.checks import Check, conflicts, counted
from hft_core.data.keys import Keys, RowKeys
from hft_core.data.likeness import Alike
from hft_core.errors import DataError

_SMALL_VALIDATION = 100
_SPLITS = ("train", "validation", "test")


def check_splits(
    texts: Mapping[str, Keys],
    corpora: Mapping[str, Iterable[Keys]],
    rows: Mapping[str, RowKeys] | None = None,
    near: Alike | None = None,
) -> list[Check]:
    """Compare the texts of a task's splits with each other, and with unlabelled text, whose keys come in pieces.

    `rows` (all keys of each split) and `near` (see `alike`) add what is the same letter for letter, conflicts between
    splits, and what is nearly the same.
    """
    checks = _leakage(texts, rows or {}, near or {})
    for name, pieces in corpora.items():
        checks += _corpus_leakage(
            name, pieces, {split: texts[split] for split in ("validation", "test") if split in texts}
        )
    if rows and len(rows) > 1:
        checks += conflicts("of all splits together", list(rows.values()))
    checks += _near_repeats(near or {}, texts)
    validation = len(texts["validation"]) if "validation" in texts else _SMALL_VALIDATION
    if validation < _SMALL_VALIDATION:
        checks.append(
            {
                "severity": "warning",
                "code": "small-validation",
                "rows": validation,
                "title": f"Only {validation} validation rows",
                "detail": f"Under {_SMALL_VALIDATION} rows the best epoch cannot be told from luck: the last weights are kept.",
            }
        )
    return checks


def require_fresh_test(rows: Mapping[str, RowKeys]) -> None:
    """Raise DataError where every test row stands in validation, letter for letter: what chose the model would measure it."""
    if "test" not in rows or "validation" not in rows:
        return
    test = rows["test"].exact
    if len(test) and np.isin(test, rows["validation"].exact).all():
        raise DataError(
            f"data.test: all of its {len(test):,} rows stand in validation too, by which the best weights are chosen; give rows "
            "that nothing was chosen by, or leave `test` out"
        )


def leaks(checks: Iterable[Check]) -> list[Check]:
    """Those of the checks that say that rows stand in two splits."""
    return [check for check in checks if check.get("code") in ("leakage", "near-leakage")]


def in_order(names: Iterable[str]) -> list[str]:
    """The splits as a task has them, others behind them as they come; before them where none is called `train`.

    For what is trained on then has another name, and it is the later ones that have to be fresh.
    """
    given = list(names)
    splits = [split for split in _SPLITS if split in given]
    others = [name for name in given if name not in splits]
    return [*splits, *others] if "train" in splits else [*others, *splits]


def _corpus_leakage(name: str, pieces: Iterable[Keys], splits: Mapping[str, Keys]) -> list[Check]:
    """Say how many texts of the held-out splits stand in unlabelled text too: a model may learn them there."""
    found = {split: np.zeros(len(keys), np.bool_) for split, keys in splits.items()}
    for known in pieces:
        for split, keys in splits.items():
            found[split] |= np.isin(keys, known)
    checks: list[Check] = []
    for split, flags in found.items():
        if rows := int(flags.sum()):
            checks.append(
                {
                    "severity": _severity(rows, len(flags)),
                    "code": "corpus-leakage",
                    "rows": rows,
                    "title": f"Leakage: {rows} of {len(flags)} {split} texts stand in {name} too",
                    "detail": "Their labels do not, but their figures may still flatter the model. Remove these texts.",
                }
            )
    return checks


def _leakage(texts: Mapping[str, Keys], rows: Mapping[str, RowKeys], near: Alike) -> list[Check]:
    checks: list[Check] = []
    order = in_order(texts)
    for index, first in enumerate(order):
        for second in order[index + 1 :]:
            total = len(texts[second])
            same = np.isin(texts[second], texts[first])
            if found := int(same.sum()):
                exact = ""
                if first in rows and second in rows:
                    letters = int(np.isin(rows[second].exact, rows[first].exact).sum())
                    exact = f"{letters} of them letter for letter. " if letters < found else "Letter for letter. "
                checks.append(
                    {
                        "severity": _severity(found, total),
                        "code": "leakage",
                        "splits": [first, second],
                        "rows": found,
                        "title": f"Leakage: {found} of {total} {second} rows stand in {first} too",
                        "detail": f"{exact}Their figures flatter the model. Write `leakage: drop-from-train` under "
                        "`prepare`, or remove these texts from one of the two.",
                    }
                )
            flags = near.get((first, second))
            if flags is not None and (more := int((flags & ~same).sum())):
                checks.append(
                    {
                        "severity": _severity(more, total),
                        "code": "near-leakage",
                        "splits": [first, second],
                        "rows": more,
                        "title": f"Near leakage: {more} of {total} {second} rows are nearly rows of {first}",
                        "detail": f"With those that are the same: {int((flags | same).sum())}. At least 80 % of their "
                        "n-grams of letters and digits are shared; what they say may differ in a word, a number or a tag.",
                    }
                )
    if not checks and len(order) > 1:
        title = "No text stands in two splits" + (", not even nearly" if near else "")
        checks.append({"severity": "ok", "code": "leakage", "rows": 0, "title": title, "detail": ", ".join(order)})
    return checks


def _near_repeats(near: Alike, texts: Mapping[str, Keys]) -> list[Check]:
    checks: list[Check] = []
    for split in in_order(texts):
        flags = near.get((split, split), np.zeros(0, np.bool_))
        if len(flags) == len(texts[split]):  # no cleaner has dropped any: repeats are told apart
            _, firsts = np.unique(texts[split], return_index=True)
            flags = flags & np.isin(np.arange(len(flags)), firsts)
        if rows := int(flags.sum()):
            title = f"{rows} {counted('row', rows)} of {split} {'are' if rows > 1 else 'is'} nearly another one"
            detail = (
                "The cleaner near-duplicates drops them." if split == "train" else "They count twice in its figures."
            )
            checks.append({"severity": "info", "code": "near-repeats", "rows": rows, "title": title, "detail": detail})
    return checks


def _severity(rows: int, total: int) -> str:
    return "error" if rows > 0.01 * total else "warning"
