"""What `hft inspect` finds in data before anything is trained: the checks of every run, on files as they are."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from hft_core.components import Columns, Reader, Roles
from hft_core.data.checks import Check, check_balance, check_rows
from hft_core.data.keys import RowKeys, keys_of
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.likeness import Alike, alike
from hft_core.data.reading import read_source, source_title
from hft_core.data.split_checks import check_splits, in_order
from hft_core.data.survey import Survey, joined_texts, survey
from hft_core.data.table import ROW, read_table, write_table
from hft_core.errors import DataError

FORMAT = 1
"""Version of the shape of `Inspection`."""
_EXAMPLES = 3
_NOTHING: Check = {
    "severity": "ok",
    "code": "nothing-found",
    "rows": 0,
    "title": "Nothing that somebody should look at",
    "detail": "",
}
_UNKNOWN_ROWS = 2_000
"""Rows of a source that a tokenizer reads for the share of unknown pieces."""


@dataclass(frozen=True)
class Source:
    """One source that is looked at."""

    reader: Reader
    roles: Roles
    refusals: Callable[[Columns], list[str | None]] | None = None
    """Why a row cannot be used, as a task says it; by default only rows without text cannot."""
    arrange: Callable[[Columns], Columns] = lambda columns: columns
    """Makes the columns of the roles, see `Task.arrange`."""
    labels: bool = True
    """Whether its targets are labels, so that their balance says something."""


class Inspected(TypedDict):
    """What one source holds."""

    name: str
    file: str
    type: str
    """The reader's type."""
    found: dict[str, str]
    """What the reader found out, such as the encoding."""
    text: list[str]
    target: list[str]
    """Columns that were taken for text and for what is right."""
    read: int
    kept: int
    quarantined: dict[str, int]
    survey: Survey


class Inspection(TypedDict):
    """All that was found; plain JSON."""

    format: int
    sources: list[Inspected]
    checks: list[Check]


def inspect(
    sources: Mapping[str, Source], folder: Path, tokenizer: Path | None = None, doubts: bool = False
) -> Inspection:
    """Look at sources by name; `folder` is an empty one, for rows and the quarantine.

    `train`, `validation` and `test` are compared in this order, others in theirs behind them, or before them where none is called
    `train`: what is trained on then has another name. Sources with different text columns are compared by all texts of a row
    joined, and by each of them: one may hold what another has beside a title. `tokenizer`: a tokenizer.json, whose unknown tokens
    are counted. With `doubts` the labels of the first source are judged, see `hft_core.evidence.label_noise`.
    """
    order = in_order(sources)
    joins = len({(source.roles.text, source.roles.inputs) for source in sources.values()}) > 1
    roles = Roles(text=("text",), target=("target",)) if joins else sources[order[0]].roles
    inspected: list[Inspected] = []
    checks: list[Check] = []
    keys: dict[str, RowKeys] = {}
    for name in order:
        source, file = sources[name], folder / f"{name}.arrow"
        ledger = _read(name, source, file, folder)
        own = source.roles
        seen = survey(read_table(file), own)
        keys[name] = keys_of(_as_compared(file, own, joins), roles)
        found = check_rows(name, keys[name], seen, ledger)
        if name == order[0] and not own.spans and source.labels:
            found += check_balance(seen["balance"])
        found += _unknown(name, file, own, tokenizer) if tokenizer else []
        checks += _with_examples(found, folder / f"{name}.quarantine.jsonl")
        inspected.append(
            {
                "name": name,
                "file": source_title(source.reader),
                "type": source.reader.type_name(),
                "found": ledger.found,
                "text": list(own.text),
                "target": list(own.target),
                "read": ledger.read,
                "kept": ledger.kept,
                "quarantined": dict(ledger.quarantined),
                "survey": seen,
            }
        )
    near = _alike({name: (folder / f"{name}.arrow", sources[name].roles) for name in order}, roles, joins)
    between = check_splits({name: rows.text for name, rows in keys.items()}, {}, keys, near)
    if doubts:
        between += _doubts(order[0], folder / f"{order[0]}.arrow", sources[order[0]].roles)
    return {"format": FORMAT, "sources": inspected, "checks": between + checks or [_NOTHING]}


def _read(name: str, source: Source, file: Path, folder: Path) -> Ledger:
    """Write a source's usable rows into `file`, the others into its quarantine."""
    ledger = Ledger()
    reader = source.reader.model_copy(update={"bad_rows": None})  # to find bad rows is what this is for
    roles = source.roles
    columns = list(dict.fromkeys((*roles.text, *roles.inputs, *roles.target, *roles.spans)))
    refusals = source.refusals or _Refusals(roles)
    with Quarantine(folder / f"{name}.quarantine.jsonl") as quarantine:
        write_table(file, read_source(reader, name, ledger, quarantine, columns, refusals, source.arrange))
    return ledger


class _Refusals:
    """Why rows cannot be used, where no task says it: they lack a text, or the one value that is right.

    A row of several labels may have none: where values of the first rows are divided by `;` or `|`, an empty one is no fault.
    """

    def __init__(self, roles: Roles):
        self._roles = roles
        self._needed: bool | None = None if roles.target and not roles.spans else False

    def __call__(self, columns: Columns) -> list[str | None]:
        texts = joined_texts(columns, self._roles)
        labels = columns[self._roles.target[0]] if self._roles.target else [""] * len(texts)
        if self._needed is None:
            self._needed = not any(isinstance(label, str) and re.search("[;|]", label) for label in labels)
        return [
            "empty-text" if not text.strip() else "empty-label" if self._needed and _is_empty(label) else None
            for text, label in zip(texts, labels, strict=True)
        ]


def _is_empty(label: Any) -> bool:
    return label is None or not str(label).strip()


def _as_compared(file: Path, roles: Roles, joins: bool) -> Iterator[Columns]:
    """The rows as they are compared with those of other sources."""
    for columns in read_table(file):
        if joins:
            targets = columns[roles.target[0]] if roles.target else [""] * len(columns[ROW])
            yield {"text": joined_texts(columns, roles), "target": list(targets)}
        else:
            yield columns


def _alike(files: Mapping[str, tuple[Path, Roles]], roles: Roles, joins: bool) -> Alike:
    """Compare the rows of all sources; with `joins` a row is like another if its texts joined are, or one of them is."""
    views = {(name, ""): _as_compared(file, own, joins) for name, (file, own) in files.items()}
    for name, (file, own) in files.items():
        for column in own.text if joins and len(own.text) > 1 else ():
            views[name, column] = ({"text": batch[column]} for batch in read_table(file))
    keys = {f"{number}": key for number, key in enumerate(views)}
    found: Alike = {}
    for (one, other), flags in alike(dict(zip(keys, views.values(), strict=True)), roles).items():
        (first, view), (second, _) = keys[one], keys[other]
        if first != second or (one == other and not view):
            found[first, second] = flags | found.get((first, second), False)
    return found


def _with_examples(checks: Sequence[Check], quarantine: Path) -> list[Check]:
    """Add a few of the refused rows to what is said of them."""
    examples: dict[str, list[str]] = defaultdict(list)
    with quarantine.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if len(examples[record["reason"]]) < _EXAMPLES:
                examples[record["reason"]].append(f"line {record['line']}: {record['detail'][:200]}")
    return [check | {"examples": examples[check["code"]]} if check["code"] in examples else check for check in checks]


def _unknown(name: str, file: Path, roles: Roles, tokenizer: Path) -> list[Check]:
    """Say which share of the pieces a tokenizer does not know."""
    from tokenizers import Tokenizer

    try:
        loaded = Tokenizer.from_file(str(tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer))
    except Exception as error:  # the library raises bare Exception
        raise DataError(f"--tokenizer {tokenizer}: this is no tokenizer.json ({error})") from error
    known = json.loads(loaded.to_str())["model"]
    unknown = known.get("unk_token") or (
        known["vocab"][known["unk_id"]][0] if known.get("unk_id") is not None else None
    )
    number = loaded.token_to_id(unknown) if unknown else None
    texts = joined_texts(next(read_table(file, _UNKNOWN_ROWS)), roles)
    pieces = [encoding.ids for encoding in loaded.encode_batch(texts, add_special_tokens=False)]
    total = sum(map(len, pieces))
    rate = sum(ids.count(number) for ids in pieces) / max(1, total) if number is not None else 0.0
    return [
        {
            "severity": "warning" if rate > 0.05 else "ok",
            "code": "unknown-tokens",
            "rows": sum(number in ids for ids in pieces),
            "title": f"{rate:.1%} unknown pieces in {name}",
            "detail": f"Of {total} pieces of the first {len(texts)} rows, by {tokenizer}.",
        }
    ]


def _doubts(name: str, file: Path, roles: Roles) -> list[Check]:
    """Judge the labels of a source by models that have not seen them."""
    from hft_core.evidence.label_noise import doubted_labels

    texts: list[str] = []
    labels: list[str] = []
    lines: list[int] = []
    for columns in read_table(file):
        if not roles.target or roles.spans:
            raise DataError(f"--doubts needs one label per row, and {name} has none; name its column with --label")
        texts += joined_texts(columns, roles)
        labels += map(str, columns[roles.target[0]])
        lines += columns[ROW]
    found = doubted_labels(texts, labels)
    rows = np.flatnonzero(found.doubtful)
    surest = rows[np.argsort(found.probability[rows], kind="stable")][:20]
    return [
        {
            "severity": "warning" if len(rows) else "ok",
            "code": "doubtful-labels",
            "rows": len(rows),
            "title": f"{len(rows)} labels of {name} are doubtful",
            "detail": "Models that were trained without a row would give it another label. Hard rows are among them: look "
            "at the list, the most doubtful first, and correct what is wrong.",
            "examples": [
                f"line {lines[row]}: {labels[row]}, rather {found.suggested[row]}: {texts[row][:150]}" for row in surest
            ],
        }
    ]
