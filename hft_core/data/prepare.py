"""Preparation of a task's splits, and of unlabelled text: read, split, clean. Each source is prepared on its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hft_core.components import Cleaner, Columns, Facts, Reader, Roles, Task
from hft_core.data.checks import check_balance, check_rows
from hft_core.data.cleaning import clean_texts, filter_rows
from hft_core.data.folds import Fold, hold_out
from hft_core.data.keys import RowKeys, keys_of, text_keys
from hft_core.data.ledger import QUARANTINE, Ledger, Quarantine
from hft_core.data.likeness import alike
from hft_core.data.prepared import TEXT, keys_file
from hft_core.data.reading import read_source, sample_of, source_title
from hft_core.data.splitting import assign, strata_of
from hft_core.data.survey import Survey, balance, survey
from hft_core.data.table import ROW, VARIANT, count_rows, only, read_columns, read_table, write_table
from hft_core.errors import DataError
from hft_core.recipe.model import Split


def prepare_train(
    task: Task,
    reader: Reader,
    shares: Mapping[str, float],
    cleaners: Sequence[Cleaner],
    out: Path,
    kept_out: Mapping[str, Reader] | None = None,
    fold: Fold | None = None,
    validation: Reader | None = None,
) -> None:
    """Prepare a task's training source, set `shares` of it aside for other splits, and learn the task's facts.

    Rows that stand in the sources `kept_out`, by split, or nearly so, are dropped first of all. With a `fold` these rows
    and those of `validation` (a source, or what was split off) are parted anew, see `hold_out`.
    """
    asked, task = task, task.bind(sample_of(reader))
    roles = task.roles()
    ledgers = {"train": Ledger()}
    _read(task, reader, "train", roles, ledgers["train"], out)
    if kept_out:
        _drop_leaking(out, task, roles, ledgers["train"], kept_out)
    if shares:
        _split(out, task, roles, ledgers, shares, source_title(reader))
    if fold:
        if validation:
            _read(task, validation, "validation", roles, Ledger(), out)
        hold_out(out, task, roles, ledgers, fold, second=validation is not None)
    checks, surveys = [], {}
    for name, ledger in ledgers.items():
        raw = out / f"raw-{name}.arrow"
        surveys[name] = survey(read_table(raw), roles)
        keys = _keep_keys(raw, roles, out, name)
        checks += check_rows(name, keys, surveys[name], ledger)
        cleaned = clean_texts(read_table(raw), cleaners, roles, ledger, drop_empty=name == "train")
        write_table(out / f"{name}.arrow", _as_originals(cleaned))
    (out / "raw-train.arrow").unlink()
    filter_rows(out / "train.arrow", cleaners, roles, ledgers["train"])
    if not (out / "train.arrow").is_file():
        dropped = ", ".join(f"{reason} {count}" for reason, count in ledgers["train"].dropped.items())
        raise DataError(f"data.train: the cleaners dropped every row ({dropped}); loosen them under prepare.clean")
    surveys["train"]["balance"] = balance(read_columns(out / "train.arrow", roles.target), roles)
    if task.target_form in ("label", "labels"):
        checks += check_balance(surveys["train"]["balance"])
    facts = task.learn(read_table(out / "train.arrow"))
    for name in ledgers:
        if name != "train":
            _check_targets(task, out / f"{name}.arrow", name, facts)
    bound = {name: value for name, value in task.settings().items() if value != asked.settings()[name]}
    _finish(out, roles, ledgers, checks, facts, bound, surveys)


def prepare_held_out(
    task: Task,
    facts: Facts,
    reader: Reader,
    name: str,
    cleaners: Sequence[Cleaner],
    out: Path,
) -> None:
    """Prepare the source `name` (validation or test) of a bound task: its rows are cleaned and never dropped."""
    roles = task.roles()
    ledger = Ledger()
    raw = out / f"raw-{name}.arrow"
    _read(task, reader, name, roles, ledger, out)
    seen = survey(read_table(raw), roles)
    checks = check_rows(name, _keep_keys(raw, roles, out, name), seen, ledger)
    cleaned = clean_texts(read_table(raw), cleaners, roles, ledger, drop_empty=False)
    write_table(out / f"{name}.arrow", _as_originals(cleaned))
    _check_targets(task, out / f"{name}.arrow", name, facts)
    _finish(out, roles, {name: ledger}, checks, {}, {}, {name: seen})


def _read(task: Task, reader: Reader, name: str, roles: Roles, ledger: Ledger, out: Path) -> None:
    """Write the usable rows of a source as raw-NAME.arrow, the others into quarantine.jsonl."""
    with Quarantine(out / QUARANTINE) as quarantine:
        rows = read_source(reader, name, ledger, quarantine, roles.columns, task.refusals, task.arrange)
        write_table(out / f"raw-{name}.arrow", rows)


def _drop_leaking(out: Path, task: Task, roles: Roles, ledger: Ledger, kept_out: Mapping[str, Reader]) -> None:
    """Drop the rows of raw-train.arrow whose texts stand in other sources; labels there are not looked at."""
    raw = out / "raw-train.arrow"
    with Quarantine(Path(os.devnull)) as nowhere:  # the preparation of these sources has theirs
        texts = {
            split: read_source(reader, split, Ledger(), nowhere, [*roles.text, *roles.inputs], arrange=task.arrange)
            for split, reader in kept_out.items()
        }
        found = alike(texts | {"train": read_table(raw)}, roles)
    leaking = np.zeros(count_rows(raw), np.bool_)
    for split in kept_out:
        flags = found[split, "train"] & ~leaking
        leaking |= flags
        if flags.any():
            ledger.dropped[f"leakage: stands in {split}"] += int(flags.sum())
    if leaking.all():
        raise DataError("data.train: every row stands in the held-out sources too; is it the same file?")
    aside = raw.rename(out / "leaking.arrow")
    write_table(raw, only(aside, ~leaking))
    aside.unlink()


def _keep_keys(file: Path, roles: Roles, folder: Path, split: str) -> RowKeys:
    """Save hashes of each row: what is compared between splits, without reading the rows again."""
    keys = keys_of(read_table(file), roles)
    for kind, values in zip(RowKeys._fields, keys, strict=True):
        values.tofile(keys_file(folder, split, kind))
    return keys


def prepare_text(reader: Reader, name: str, cleaners: Sequence[Cleaner], out: Path) -> None:
    """Prepare a source of unlabelled text into `text.arrow`: its column `text`, or the one with the longest entries."""
    ledger = Ledger()
    sample = sample_of(reader)
    texts = [key for key, values in sample.items() if all(isinstance(value, str | None) for value in values[:100])]
    if not texts:
        raise DataError(f"data.{name}: no column holds text; it has {', '.join(sample)}")
    chosen = "text" if "text" in texts else max(texts, key=lambda key: sum(len(value or "") for value in sample[key]))
    roles = Roles(text=(str(chosen),))
    with Quarantine(out / QUARANTINE) as quarantine, keys_file(out, TEXT).open("wb") as keys:
        raw = read_source(reader, name, ledger, quarantine, roles.text, lambda columns: _empty(columns, roles))
        noted = _noting(raw, roles, keys)
        write_table(out / f"{TEXT}.arrow", _as_originals(clean_texts(noted, cleaners, roles, ledger, drop_empty=True)))
    filter_rows(out / f"{TEXT}.arrow", cleaners, roles, ledger)
    if not (out / f"{TEXT}.arrow").is_file():
        raise DataError(f"data.{name}: no usable row is left after cleaning; loosen the filters under prepare.clean")
    _finish(out, roles, {TEXT: ledger}, [], {}, {}, {})


def _noting(batches: Iterator[Columns], roles: Roles, file: BinaryIO) -> Iterator[Columns]:
    """Pass batches on, and write the hash of each row's text into a file."""
    for columns in batches:
        text_keys(columns, roles).tofile(file)
        yield columns


def _empty(columns: Columns, roles: Roles) -> list[str | None]:
    return [
        "empty-text" if text is None or text == "" else "not-a-text" if not isinstance(text, str) else None
        for text in columns[roles.text[0]]
    ]


def _as_originals(batches: Iterator[Columns]) -> Iterator[Columns]:
    for columns in batches:
        yield columns | {VARIANT: [0] * len(columns[ROW])}


def _split(
    out: Path, task: Task, roles: Roles, ledgers: dict[str, Ledger], shares: Mapping[str, float], file: str
) -> None:
    """Set rows of train aside for the splits of `shares`; `file` is where they come from, for messages."""
    whole = out / "raw-train.arrow"
    chosen = assign(read_table(whole), roles, shares, strata_of(task, lambda: read_table(whole)))
    aside = whole.rename(out / "whole.arrow")
    for number, name in enumerate(("train", *shares)):
        rows = write_table(out / f"raw-{name}.arrow", only(aside, chosen == number))
        if rows == 0:
            held = " and ".join(shares)
            raise DataError(
                f"data.train: {file} has too few rows to set some aside for {held} (copies of a text stay together, and labels "
                f"that few rows have stay in train); give {held} a source of its own, or add rows"
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
    surveys: Mapping[str, Survey],
) -> None:
    content = {
        "roles": asdict(roles),
        "ledger": {name: ledger.to_json() for name, ledger in ledgers.items()},
        "checks": list(checks),
        "facts": facts,
        "bound": dict(bound),
        "surveys": dict(surveys),
    }
    (out / "prepared.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
