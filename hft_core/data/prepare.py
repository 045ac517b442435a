"""Preparation of the task's splits, and of unlabelled text: read, split, clean, check."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hft_core.components import Cleaner, Columns, Facts, Reader, Roles, Task
from hft_core.data.checks import check_splits
from hft_core.data.cleaning import clean_texts, filter_rows
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.reading import read_source, sample_of
from hft_core.data.splitting import assign
from hft_core.data.table import ROW, VARIANT, count_rows, read_all, read_table, write_table
from hft_core.errors import DataError
from hft_core.recipe.model import SPLITS, Split

_SMALL_VALIDATION = 100


@dataclass(frozen=True)
class Prepared:
    """What preparation left in its folder."""

    folder: Path
    roles: Roles
    ledger: dict[str, Any]
    checks: list[dict[str, Any]]
    facts: Facts
    bound: dict[str, str]
    """Task settings that were settled from the data: its columns."""

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """Read prepared.json."""
        content = json.loads((folder / "prepared.json").read_text("utf-8"))
        roles = Roles(**{name: tuple(columns) for name, columns in content["roles"].items()})
        return cls(folder, roles, content["ledger"], content["checks"], content["facts"], content["bound"])

    def file(self, split: str) -> Path:
        """The Arrow file of a split, cleaned."""
        return self.folder / f"{split}.arrow"

    def raw_validation(self) -> Columns:
        """The validation rows as they were read."""
        return read_all(self.folder / "raw-validation.arrow")


def prepare_task(
    task: Task,
    sources: Mapping[str, Reader],
    split: Split | None,
    cleaners: Sequence[Cleaner],
    out: Path,
) -> None:
    """Prepare the task's splits into `out`: Arrow files, quarantine.jsonl and prepared.json."""
    ledgers = {name: Ledger() for name in SPLITS if name in sources}
    quarantine = Quarantine(out / "quarantine.jsonl")
    task = task.bind(sample_of(sources["train"]))
    roles = task.roles()
    columns = list(dict.fromkeys((*roles.text, *roles.target, *roles.spans)))
    for name in ledgers:
        reader = sources[name]
        _require_columns(reader, name, roles)
        write_table(
            out / f"raw-{name}.arrow", read_source(reader, name, ledgers[name], quarantine, columns, task.refusals)
        )
    quarantine.close()
    _split(out, task, roles, ledgers, split)

    raw = {name: out / f"raw-{name}.arrow" for name in ledgers}
    checks = check_splits(raw, task, roles)
    for name, ledger in ledgers.items():
        cleaned = clean_texts(read_table(raw[name]), cleaners, roles, ledger, drop_empty=name == "train")
        write_table(out / f"{name}.arrow", _as_originals(cleaned))
    filter_rows(out / "train.arrow", cleaners, roles, ledgers["train"])
    if not (out / "train.arrow").is_file():
        dropped = ", ".join(f"{reason} {count}" for reason, count in ledgers["train"].dropped.items())
        raise DataError(f"data.train: the cleaners dropped every row ({dropped}); loosen them under prepare.clean")
    facts = task.learn(read_table(out / "train.arrow"))
    for name in ledgers:
        if name != "train":
            _check_targets(task, out / f"{name}.arrow", name, facts)
    for name in raw:
        if name != "validation":  # whose rows an exporter compares with, as a user would give them
            raw[name].unlink()
    validation = count_rows(out / "validation.arrow")
    if validation < _SMALL_VALIDATION:
        checks.append(
            {
                "severity": "warning",
                "title": f"Only {validation} validation rows",
                "detail": f"Under {_SMALL_VALIDATION} rows the best epoch cannot be told from luck: the last weights are kept.",
            }
        )
    _finish(
        out,
        roles,
        ledgers,
        checks,
        facts,
        {name: value for name, value in task.settings().items() if value is not None},
    )


def prepare_text(reader: Reader, name: str, cleaners: Sequence[Cleaner], out: Path) -> None:
    """Prepare a source of unlabelled text into `text.arrow`: its column `text`, or the one with the longest entries."""
    ledger = Ledger()
    quarantine = Quarantine(out / "quarantine.jsonl")
    sample = sample_of(reader)
    texts = [key for key, values in sample.items() if all(isinstance(value, str | None) for value in values[:100])]
    if not texts:
        raise DataError(f"data.{name}: no column holds text; it has {', '.join(sample)}")
    chosen = "text" if "text" in texts else max(texts, key=lambda key: sum(len(value or "") for value in sample[key]))
    roles = Roles(text=(str(chosen),))
    raw = read_source(reader, name, ledger, quarantine, roles.text, lambda columns: _empty(columns, roles))
    write_table(out / "text.arrow", _as_originals(clean_texts(raw, cleaners, roles, ledger, drop_empty=True)))
    quarantine.close()
    filter_rows(out / "text.arrow", cleaners, roles, ledger)
    if not (out / "text.arrow").is_file():
        raise DataError(f"data.{name}: no usable row is left after cleaning; loosen the filters under prepare.clean")
    _finish(out, roles, {"text": ledger}, [], {}, {})


def _empty(columns: Columns, roles: Roles) -> list[str | None]:
    return [
        "empty-text" if text is None or text == "" else "not-a-text" if not isinstance(text, str) else None
        for text in columns[roles.text[0]]
    ]


def _as_originals(batches: Iterator[Columns]) -> Iterator[Columns]:
    for columns in batches:
        yield columns | {VARIANT: [0] * len(columns[ROW])}


def _require_columns(reader: Reader, name: str, roles: Roles) -> None:
    sample = sample_of(reader, 1)
    for column in (*roles.text, *roles.target, *roles.spans):
        if column not in sample:
            file = getattr(reader, "path", reader.type_name())
            raise DataError(
                f"data.{name}: {file} has no column {column!r}; its columns are {', '.join(sample)}. "
                "All splits of a task have the same columns: rename it, or set the task's column"
            )


def _split(out: Path, task: Task, roles: Roles, ledgers: dict[str, Ledger], split: Split | None) -> None:
    """Set rows of train aside where a validation (or asked-for test) source is missing."""
    shares: dict[str, float] = {}
    if "validation" not in ledgers:
        shares["validation"] = split.validation if split else Split().validation
    if split and split.test and "test" not in ledgers:
        shares["test"] = split.test
    if not shares:
        return
    whole = out / "raw-train.arrow"
    chosen = assign(read_table(whole), roles, shares, stratify=task.classes)
    aside = whole.rename(out / "whole.arrow")
    for name in ("train", *shares):
        rows = write_table(out / f"raw-{name}.arrow", _only(aside, chosen, name))
        if rows == 0:
            raise DataError(f"data: train has too few rows to set some aside for {name}; give a `{name}` source")
        if name != "train":
            ledgers[name] = Ledger(read=rows)
            ledgers["train"].moved += rows
    aside.unlink()


def _only(file: Path, chosen: Sequence[str], split: str) -> Iterator[Columns]:
    position = 0
    for columns in read_table(file):
        count = len(columns[ROW])
        kept = [index for index in range(count) if chosen[position + index] == split]
        position += count
        if kept:
            yield {name: [values[index] for index in kept] for name, values in columns.items()}


def _check_targets(task: Task, file: Path, name: str, facts: Facts) -> None:
    for columns in read_table(file):
        try:
            task.truths(columns, facts)
        except DataError as error:
            raise DataError(f"data.{name}: {error}") from error


def _finish(
    out: Path,
    roles: Roles,
    ledgers: Mapping[str, Ledger],
    checks: Sequence[Any],
    facts: Facts,
    bound: Mapping[str, Any],
) -> None:
    content = {
        "roles": {"text": roles.text, "target": roles.target, "spans": roles.spans, "protected": roles.protected},
        "ledger": {name: ledger.to_json() for name, ledger in ledgers.items()},
        "checks": list(checks),
        "facts": facts,
        "bound": dict(bound),
    }
    (out / "prepared.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
