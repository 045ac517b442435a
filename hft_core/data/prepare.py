"""Preparation of a task's splits, and of unlabelled text: read, split, clean. Each source is prepared on its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hft_core.components import Cleaner, Columns, Facts, Reader, Roles, Task
from hft_core.data.checks import check_rows
from hft_core.data.cleaning import clean_texts, filter_rows
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.reading import read_source, sample_of
from hft_core.data.splitting import assign, text_key
from hft_core.data.table import ROW, VARIANT, read_all, read_table, write_table
from hft_core.errors import DataError
from hft_core.recipe.model import Split

TEXT = "text"
"""The name under which a source of unlabelled text is kept."""


@dataclass(frozen=True)
class Prepared:
    """What the preparation of one source left in its folder: the source's rows, and those that were split off it."""

    folder: Path
    roles: Roles
    ledger: dict[str, Any]
    """By split."""
    checks: list[dict[str, Any]]
    facts: Facts
    """What the task learned from these rows; empty where it learns nothing from them."""
    bound: dict[str, Any]
    """Task settings that were settled from the data: names of its columns."""

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """Read prepared.json."""
        content = json.loads((folder / "prepared.json").read_text("utf-8"))
        roles = Roles(**{name: tuple(columns) for name, columns in content["roles"].items()})
        return cls(folder, roles, content["ledger"], content["checks"], content["facts"], content["bound"])

    def file(self, split: str) -> Path:
        """The Arrow file of a split, cleaned."""
        return self.folder / f"{split}.arrow"

    def raw(self, split: str) -> Columns:
        """The rows of a held-out split as they were read."""
        return read_all(self.folder / f"raw-{split}.arrow")

    def text_keys(self, split: str) -> NDArray[np.uint64]:
        """A hash of each row's texts as they were read, one per row."""
        keys: NDArray[np.uint64] = np.load(self.folder / f"{split}.keys.npy")
        return keys


def bound_task(task: Task, prepared: Prepared) -> Task:
    """The recipe's task with the columns that the preparation of its training rows settled."""
    return task.model_copy(
        update={key: value for key, value in prepared.bound.items() if key in type(task).model_fields}
    )


def prepare_train(
    task: Task, reader: Reader, shares: Mapping[str, float], cleaners: Sequence[Cleaner], out: Path
) -> None:
    """Prepare a task's training source, set `shares` of it aside for other splits, and learn the task's facts."""
    asked, task = task, task.bind(sample_of(reader))
    roles = task.roles()
    ledgers = {"train": Ledger()}
    _read(task, reader, "train", roles, ledgers["train"], out)
    if shares:
        _split(out, task, roles, ledgers, shares, str(getattr(reader, "path", reader.type_name())))
    checks = []
    for name, ledger in ledgers.items():
        raw = out / f"raw-{name}.arrow"
        checks += check_rows(name, raw, _keep_keys(raw, roles, out / f"{name}.keys.npy"), task, roles)
        cleaned = clean_texts(read_table(raw), cleaners, roles, ledger, drop_empty=name == "train")
        write_table(out / f"{name}.arrow", _as_originals(cleaned))
    (out / "raw-train.arrow").unlink()
    filter_rows(out / "train.arrow", cleaners, roles, ledgers["train"])
    if not (out / "train.arrow").is_file():
        dropped = ", ".join(f"{reason} {count}" for reason, count in ledgers["train"].dropped.items())
        raise DataError(f"data.train: the cleaners dropped every row ({dropped}); loosen them under prepare.clean")
    facts = task.learn(read_table(out / "train.arrow"))
    for name in ledgers:
        if name != "train":
            _check_targets(task, out / f"{name}.arrow", name, facts)
    bound = {name: value for name, value in task.settings().items() if value != asked.settings()[name]}
    _finish(out, roles, ledgers, checks, facts, bound)


def prepare_held_out(
    task: Task, facts: Facts, reader: Reader, name: str, cleaners: Sequence[Cleaner], out: Path
) -> None:
    """Prepare the source `name` (validation or test) of a bound task: its rows are cleaned and never dropped."""
    roles = task.roles()
    ledger = Ledger()
    raw = out / f"raw-{name}.arrow"
    _read(task, reader, name, roles, ledger, out)
    checks = check_rows(name, raw, _keep_keys(raw, roles, out / f"{name}.keys.npy"), task, roles)
    cleaned = clean_texts(read_table(raw), cleaners, roles, ledger, drop_empty=False)
    write_table(out / f"{name}.arrow", _as_originals(cleaned))
    _check_targets(task, out / f"{name}.arrow", name, facts)
    _finish(out, roles, {name: ledger}, checks, {}, {})


def _read(task: Task, reader: Reader, name: str, roles: Roles, ledger: Ledger, out: Path) -> None:
    """Write the usable rows of a source as raw-NAME.arrow, the others into quarantine.jsonl."""
    _require_columns(reader, name, roles)
    columns = list(dict.fromkeys((*roles.text, *roles.inputs, *roles.target, *roles.spans)))
    quarantine = Quarantine(out / "quarantine.jsonl")
    write_table(out / f"raw-{name}.arrow", read_source(reader, name, ledger, quarantine, columns, task.refusals))
    quarantine.close()


def _keep_keys(file: Path, roles: Roles, target: Path) -> NDArray[np.uint64]:
    """Save a hash of each row's texts: what is compared between splits, without reading the rows again."""
    keys = np.array(list(_keys(read_table(file), roles)), np.uint64)
    np.save(target, keys)
    return keys


def _keys(batches: Iterator[Columns], roles: Roles) -> Iterator[int]:
    for columns in batches:
        for index in range(len(columns[roles.text[0]])):
            yield text_key(columns, roles, index)


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
    keys: list[int] = []
    noted = _noting(raw, roles, keys)
    write_table(out / f"{TEXT}.arrow", _as_originals(clean_texts(noted, cleaners, roles, ledger, drop_empty=True)))
    quarantine.close()
    np.save(out / f"{TEXT}.keys.npy", np.array(keys, np.uint64))
    filter_rows(out / f"{TEXT}.arrow", cleaners, roles, ledger)
    if not (out / f"{TEXT}.arrow").is_file():
        raise DataError(f"data.{name}: no usable row is left after cleaning; loosen the filters under prepare.clean")
    _finish(out, roles, {TEXT: ledger}, [], {}, {})


def _noting(batches: Iterator[Columns], roles: Roles, keys: list[int]) -> Iterator[Columns]:
    """Pass batches on, and note the hash of each row's text."""
    for columns in batches:
        keys += _keys(iter([columns]), roles)
        yield columns


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
    for column in (*roles.text, *roles.inputs, *roles.target, *roles.spans):
        if column not in sample:
            file = getattr(reader, "path", reader.type_name())
            raise DataError(
                f"data.{name}: {file} has no column {column!r}; its columns are {', '.join(sample)}. "
                "All splits of a task have the same columns: rename it, or set the task's column"
            )


def _split(
    out: Path, task: Task, roles: Roles, ledgers: dict[str, Ledger], shares: Mapping[str, float], file: str
) -> None:
    """Set rows of train aside for the splits of `shares`; `file` is where they come from, for messages."""
    whole = out / "raw-train.arrow"
    chosen = assign(read_table(whole), roles, shares, stratify=task.classes)
    aside = whole.rename(out / "whole.arrow")
    for name in ("train", *shares):
        rows = write_table(out / f"raw-{name}.arrow", _only(aside, chosen, name))
        if rows == 0:
            held = " and ".join(shares)
            raise DataError(
                f"data.train: {file} has too few rows to set some aside for {held} (copies of a text stay together); give "
                f"{held} a source of its own, or add rows"
            )
        if name != "train":
            ledgers[name] = Ledger(read=rows)
            ledgers["train"].moved += rows
    aside.unlink()


def shares_of(split: Split | None, given: Sequence[str]) -> dict[str, float]:
    """Shares of train that become validation and test, where there are no such sources."""
    shares: dict[str, float] = {}
    if "validation" not in given:
        shares["validation"] = split.validation if split else Split().validation
    if split and split.test and "test" not in given:
        shares["test"] = split.test
    return shares


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
        "roles": asdict(roles),
        "ledger": {name: ledger.to_json() for name, ledger in ledgers.items()},
        "checks": list(checks),
        "facts": facts,
        "bound": dict(bound),
    }
    (out / "prepared.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
