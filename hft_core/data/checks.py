"""What is looked for in the rows of each split, by every run and by `hft inspect`: conflicts, repeats, balance, odd rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hft_core.data.keys import Keys, RowKeys
from hft_core.data.ledger import Ledger
from hft_core.data.survey import SUSPICIONS, Survey

Check = dict[str, Any]
"""{severity: ok | info | warning | error, code, rows, title, detail, examples}, see `hft_core.report.content.Check`."""
_CODES = {
    "header-as-row": ("the names of the columns as values", "The cleaner header-rows drops them."),
    "bad-offset": ("an entity or answer that does not stand where its offsets say", "Correct the offsets."),
} | {code: (said, advice) for code, (said, advice, _) in SUSPICIONS.items()}


def check_rows(split: str, keys: RowKeys, seen: Survey, ledger: Ledger) -> list[Check]:
    """Look at the rows of one split, as they were read."""
    return (
        _refused(split, ledger.quarantined)
        + _tag_schemes(split, ledger.found)
        + _repeats(split, keys.text)
        + conflicts(f"of {split}", [keys])
        + _suspicious(split, seen)
        + _languages(split, seen)
    )


def _refused(split: str, refused: Mapping[str, int]) -> list[Check]:
    checks: list[Check] = []
    for reason, rows in sorted(refused.items(), key=lambda item: -item[1]):
        title = f"{rows} {counted('row', rows)} of {split} cannot be used: {reason.replace('-', ' ')}"
        detail = "They are left out; a run lists each with its line in quarantine.jsonl. Correct them."
        checks.append({"severity": "warning", "code": reason, "rows": rows, "title": title, "detail": detail})
    return checks


def _tag_schemes(name: str, found: Mapping[str, str]) -> list[Check]:
    """Say where a reader of tags found several schemes in one file."""
    if "mixed tag schemes" not in found:
        return []
    return [
        {
            "severity": "warning",
            "code": "mixed-tag-schemes",
            "rows": 0,
            "title": f"The tags of {name} do not keep to one scheme",
            "detail": f"{found['mixed tag schemes']}. Each is read, but where files were put together, look at their borders.",
        }
    ]


def _repeats(split: str, keys: Keys) -> list[Check]:
    repeated = len(keys) - len(np.unique(keys))
    if not repeated:
        return []
    detail = "The cleaner exact-duplicates drops them." if split == "train" else "They count twice in its figures."
    title = f"{repeated} repeated {counted('row', repeated)} in {split}"
    return [{"severity": "info", "code": "repeats", "rows": repeated, "title": title, "detail": detail}]


def conflicts(where: str, splits: Sequence[RowKeys]) -> list[Check]:
    """Count texts that have different targets, in these splits together."""
    texts = np.concatenate([keys.text for keys in splits])
    targets = np.concatenate([keys.target for keys in splits])
    order = np.argsort(texts, kind="stable")
    texts, targets = texts[order], targets[order]
    differs = (texts[1:] == texts[:-1]) & (targets[1:] != targets[:-1])
    rows = len(np.unique(texts[1:][differs]))
    if not rows:
        return []
    title = f"{rows} {counted('text', rows)} {where} with conflicting labels"
    detail = "The cleaner exact-duplicates drops them from train; better, correct the labels."
    return [{"severity": "warning", "code": "label-conflicts", "rows": rows, "title": title, "detail": detail}]


def check_balance(balance: Mapping[str, int]) -> list[Check]:
    """Say how many more rows the most frequent label has than the rarest, of two labels or more."""
    if len(balance) < 2:
        return []
    ordered = sorted(balance.items(), key=lambda item: -item[1])
    (most, many), (least, few) = ordered[0], ordered[-1]
    shares = ", ".join(f"{label}: {count}" for label, count in ordered[:12])
    return [
        {
            "severity": "warning" if many > 10 * few else "info",
            "code": "balance",
            "rows": few,
            "title": f"Class balance {many / few:.1f} : 1 between {most} and {least}",
            "detail": shares,
        }
    ]


def _suspicious(split: str, seen: Survey) -> list[Check]:
    checks: list[Check] = []
    for code, found in sorted(seen["suspicious"].items(), key=lambda item: -item[1]["rows"]):
        rows = found["rows"]
        said, advice = _CODES[code]
        title = f"{rows} {counted('row', rows)} of {split} with {said}"
        checks.append(
            {
                "severity": "warning" if code in ("header-as-row", "bad-offset") else "info",
                "code": code,
                "rows": rows,
                "title": title,
                "detail": advice,
                "examples": found["examples"],
            }
        )
    return checks


def _languages(split: str, seen: Survey) -> list[Check]:
    """Say where a noticeable part of the rows is in another language than most."""
    shares = {language: share for language, share in seen["languages"].items() if language != "und" and share >= 0.05}
    if len(shares) < 2:
        return []
    listed = ", ".join(f"{language} {share:.0%}" for language, share in shares.items())
    return [
        {
            "severity": "info",
            "code": "languages",
            "rows": 0,
            "title": f"Several languages in {split}: {listed}",
            "detail": "By a sample; short texts are uncertain. The cleaner language drops what is not wanted.",
        }
    ]


def counted(word: str, count: int) -> str:
    """A word in the singular or plural."""
    return word if count == 1 else f"{word}s"
