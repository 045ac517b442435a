"""Data: rows, preprocessor, encoded arrays."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hft_core.components import Cleaner, Model, Objective, Reader, Stream, Task
from hft_core.data.folds import Fold
from hft_core.data.ledger import QUARANTINE
from hft_core.data.likeness import alike
from hft_core.data.prepare import prepare_held_out, prepare_text, prepare_train
from hft_core.data.prepared import TEXT, Prepared, bound_task
from hft_core.data.split_checks import check_splits, leaks, require_fresh_test
from hft_core.data.table import ROW, read_table
from hft_core.errors import DataError
from hft_core.pipeline.steps.common import (
    Folders,
    Process,
    TaskPlace,
    TaskRows,
    load_preprocessor,
    read_json,
    write_json,
)
from hft_core.recipe.model import Recipe
from hft_core.recipe.sources import Source
from hft_core.runtime.randomness import RowRandom, key_of

_LEARNED_FROM = 128 << 20
"""Bytes of rows that a new preprocessor is trained on at most: the words that it counts grow with the text, above all in
languages without spaces, and what it learns of them hardly changes."""


def prepare_train_step(
    task: Task, reader: Reader, shares: Mapping[str, float], cleaners: Sequence[Cleaner], kept_out: Mapping[str, Reader],
    fold: Fold | None, validation: Reader | None, out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Read and clean a task's training rows, set some aside for splits that have no source, learn the facts.

    Rows that stand in the sources `kept_out` are dropped first. With a `fold` they and those of `validation` are parted anew.
    """
    with _refused_rows_kept(out, process):
        prepare_train(task, reader, shares, cleaners, out, kept_out, fold, validation)
    _say_what_became_of_rows(out, process)


def prepare_held_out_step(
    task: Task, reader: Reader, split: str, cleaners: Sequence[Cleaner], train: str, out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Read and clean a task's validation or test rows, in the columns of its training rows."""
    known = Prepared.load(inputs[train])
    with _refused_rows_kept(out, process):
        prepare_held_out(bound_task(task, known), known.facts, reader, split, cleaners, out)
    _say_what_became_of_rows(out, process)


def prepare_text_step(
    reader: Reader, name: str, cleaners: Sequence[Cleaner], out: Path, inputs: Folders, process: Process
) -> None:
    """Read and clean a source of unlabelled text; its file is called text.arrow."""
    with _refused_rows_kept(out, process):
        prepare_text(reader, name, cleaners, out)
    ledger = read_json(out / "prepared.json")["ledger"][TEXT]
    process.say(f"{name}: read {ledger['read']}, kept {ledger['kept']}")


@contextmanager
def _refused_rows_kept(out: Path, process: Process) -> Iterator[None]:
    """Where the data stop the run, keep the rows that were refused until then, and say where."""
    try:
        yield
    except DataError as error:
        refused, kept = out / QUARANTINE, process.work / QUARANTINE
        if not refused.is_file() or not refused.stat().st_size:
            raise
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(refused, kept)
        raise DataError(f"{error}. The rows that were refused until then are in {kept}") from error


def _say_what_became_of_rows(out: Path, process: Process) -> None:
    content = read_json(out / "prepared.json")
    for name, ledger in content["ledger"].items():
        moved = f", set aside for other splits {ledger['moved']}" if ledger["moved"] else ""
        found = f", encoding {ledger['found']['encoding']} (found)" if "encoding" in ledger["found"] else ""
        process.say(
            f"{name}: read {ledger['read']}, kept {ledger['kept']}, quarantined {sum(ledger['quarantined'].values())}, "
            f"dropped {sum(ledger['dropped'].values())}{moved}{found}"
        )
    _say_problems(content["checks"], process)


def _say_problems(checks: Sequence[Mapping[str, str]], process: Process) -> None:
    for check in checks:
        if check["severity"] in ("warning", "error"):
            process.say(f"warning: {check['title']}")


def checks_step(
    place: TaskPlace, texts: Mapping[str, str], fails: bool, out: Path, inputs: Folders, process: Process
) -> None:
    """Compare a task's splits with each other and with all unlabelled text: checks.json.

    Raises DataError where the test is part of validation, and where a text stands in two splits and `fails` says that this
    must not be.
    """
    prepared = {split: Prepared.load(inputs[node]) for split, node in place.nodes.items()}
    rows = {split: source.row_keys(split) for split, source in prepared.items()}
    require_fresh_test(rows)
    corpora = {name: Prepared.load(inputs[node]).text_keys(TEXT) for name, node in texts.items()}
    cleaned = {split: read_table(source.file(split)) for split, source in prepared.items()}
    near = alike(cleaned, prepared["train"].roles)
    checks = check_splits({split: keys.text for split, keys in rows.items()}, corpora, rows, near)
    write_json(out / "checks.json", checks)
    _say_problems(checks, process)
    if fails and (found := leaks(checks)):
        titles = "; ".join(check["title"] for check in found if check["rows"])
        if titles:
            raise DataError(
                f"{titles}. `leakage: fail` stops here: remove these texts, or write `leakage: drop-from-train`"
            )


def preprocessor_step(model: Model, start: Path | None, out: Path, inputs: Folders, process: Process) -> None:
    """Load the model's preprocessor, or train it on the cleaned texts of the inputs."""
    texts = _Texts(inputs)
    preprocessor = model.preprocessor(start, texts)
    preprocessor.save(out)
    write_json(out / "preprocessor.json", {"module": preprocessor.module, "settings": preprocessor.settings()})
    if model.learns_preprocessor():
        size = getattr(preprocessor, "vocabulary", None)
        sample = f", on a sample of {texts.share:.0%} of the rows" if texts.share < 1 else ""
        process.say("trained a preprocessor" + (f" with {size} tokens" if size else "") + sample)


class _Texts:
    """The texts of training splits and of unlabelled sources, as often as they are asked for; of much text, a sample."""

    def __init__(self, inputs: Folders):
        sources = [Prepared.load(folder) for folder in inputs.values()]
        self._files = [
            (source, file) for source in sources for split in ("train", TEXT) if (file := source.file(split)).is_file()
        ]
        self.share = min(1.0, _LEARNED_FROM / max(1, sum(file.stat().st_size for _, file in self._files)))
        """Of all rows."""

    def __iter__(self) -> Iterator[str]:
        for position, (source, file) in enumerate(self._files):
            for columns in read_table(file):
                draws = RowRandom(key_of("preprocessor", position), np.array(columns[ROW], np.int64)).uniform(1)[:, 0]
                rows = np.flatnonzero(draws < self.share).tolist()
                for name in (*source.roles.text, *source.roles.target_texts):
                    yield from (columns[name][row] for row in rows)


def encode_step(
    recipe: Recipe, objective: Objective, sources: Sequence[Source], places: Mapping[str, TaskPlace],
    augment: str | None, out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Tokenise the rows of an objective once for all epochs, stages and seeds."""
    from hft_core.training.encoding import Encoded, encode_files, entry_lengths

    preprocessor = load_preprocessor(inputs["preprocessor"])
    files, streams = [], []
    for source in sources:
        if source.task is None:
            prepared = Prepared.load(inputs[f"prepare {source.name}"])
            files.append(prepared.file(TEXT))
            streams.append(Stream(preprocessor, prepared.roles))
            continue
        rows = TaskRows.open(recipe, places[source.task], inputs)
        files.append(inputs[augment] / "train.arrow" if augment else rows.train.file("train"))
        streams.append(Stream(preprocessor, rows.roles, rows.task, rows.facts))
    shards = entries = pieces = 0
    unknown_pieces = 0.0
    for arrays in encode_files(objective, files, streams):
        Encoded.save(out, shards, arrays)
        for remark in objective.remarks(arrays, streams[0]):
            process.say(f"warning: {', '.join(source.title for source in sources)}: {remark}")
        length = int(entry_lengths(arrays).sum())
        if hasattr(preprocessor, "unknown_rate"):  # only a preprocessor of texts knows what an unknown piece is
            unknown_pieces += preprocessor.unknown_rate(arrays) * length
        shards, entries, pieces = shards + 1, entries + len(arrays["row"]), pieces + length
        del arrays  # or it would stay in memory while the next shard is made
    unknown = unknown_pieces / max(1, pieces) if hasattr(preprocessor, "unknown_rate") else None
    titles = [source.title for source in sources]
    note = {"sources": titles, "shards": shards, "entries": entries, "unknown_rate": unknown}
    write_json(out / "encoded.json", note)
    if unknown is not None and unknown > 0.05:
        process.say(
            f"warning: {unknown:.0%} of the pieces of {', '.join(titles)} are unknown to the tokenizer; choose a model of "
            "this language, or train a tokenizer ({scratch: …, tokenizer: …})"
        )
