"""Data: rows, preprocessor, encoded arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hft_core.components import Augmenter, Cleaner, Model, Objective, Reader, Stream, Task
from hft_core.data.augmentation import augment_split
from hft_core.data.checks import check_splits
from hft_core.data.prepare import TEXT, Prepared, bound_task, prepare_held_out, prepare_text, prepare_train
from hft_core.data.table import read_table
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


def prepare_train_step(
    task: Task, reader: Reader, shares: Mapping[str, float], cleaners: Sequence[Cleaner],
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Read and clean a task's training rows, set some aside for splits that have no source, learn the facts."""
    prepare_train(task, reader, shares, cleaners, out)
    _say_what_became_of_rows(out, process)


def prepare_held_out_step(
    task: Task, reader: Reader, split: str, cleaners: Sequence[Cleaner], train: str,
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Read and clean a task's validation or test rows, in the columns of its training rows."""
    known = Prepared.load(inputs[train])
    prepare_held_out(bound_task(task, known), known.facts, reader, split, cleaners, out)
    _say_what_became_of_rows(out, process)


def prepare_text_step(
    reader: Reader, name: str, cleaners: Sequence[Cleaner], out: Path, inputs: Folders, process: Process
) -> None:
    """Read and clean a source of unlabelled text; its file is called text.arrow."""
    prepare_text(reader, name, cleaners, out)
    ledger = read_json(out / "prepared.json")["ledger"][TEXT]
    process.say(f"{name}: read {ledger['read']}, kept {ledger['kept']}")


def _say_what_became_of_rows(out: Path, process: Process) -> None:
    content = read_json(out / "prepared.json")
    for name, ledger in content["ledger"].items():
        moved = f", set aside for other splits {ledger['moved']}" if ledger["moved"] else ""
        process.say(
            f"{name}: read {ledger['read']}, kept {ledger['kept']}, quarantined {sum(ledger['quarantined'].values())}, "
            f"dropped {sum(ledger['dropped'].values())}{moved}"
        )
    _say_problems(content["checks"], process)


def _say_problems(checks: Sequence[Mapping[str, str]], process: Process) -> None:
    for check in checks:
        if check["severity"] in ("warning", "error"):
            process.say(f"{check['severity']}: {check['title']}")


def checks_step(place: TaskPlace, texts: Mapping[str, str], out: Path, inputs: Folders, process: Process) -> None:
    """Compare a task's splits with each other and with all unlabelled text: checks.json."""
    splits = {split: Prepared.load(inputs[node]).text_keys(split) for split, node in place.nodes.items()}
    corpora = {name: Prepared.load(inputs[node]).text_keys(TEXT) for name, node in texts.items()}
    checks = check_splits(splits, corpora)
    write_json(out / "checks.json", checks)
    _say_problems(checks, process)


def augment_step(
    place: TaskPlace, augmenters: Sequence[Augmenter], seed: int, out: Path, inputs: Folders, process: Process
) -> None:
    """Make variants of the training rows: train.arrow with originals and variants, augmented.json."""
    prepared = Prepared.load(inputs[place.nodes["train"]])
    note = augment_split(prepared.file("train"), augmenters, prepared.roles, seed, out / "train.arrow")
    write_json(out / "augmented.json", note)
    for name, count in note["made"].items():
        process.say(
            f"made {count} by {name}" if count else f"warning: {name} found nothing to change, so it made no variant"
        )


def preprocessor_step(model: Model, start: Path | None, out: Path, inputs: Folders, process: Process) -> None:
    """Load the model's preprocessor, or train it on the cleaned texts of the inputs."""
    preprocessor = model.preprocessor(start, _Texts(inputs))
    preprocessor.save(out)
    write_json(out / "preprocessor.json", {"module": preprocessor.module, "settings": preprocessor.settings()})
    if model.learns_preprocessor():
        size = getattr(preprocessor, "vocabulary", None)
        process.say("trained a preprocessor" + (f" with {size} tokens" if size else ""))


class _Texts:
    """All texts of training splits and of unlabelled sources, as often as they are asked for."""

    def __init__(self, inputs: Folders):
        self._inputs = inputs

    def __iter__(self) -> Iterator[str]:
        for folder in self._inputs.values():
            prepared = Prepared.load(folder)
            for split in ("train", TEXT):
                for columns in read_table(prepared.file(split)):
                    for name in (*prepared.roles.text, *prepared.roles.target_texts):
                        yield from columns[name]


def encode_step(
    recipe: Recipe, objective: Objective, sources: Sequence[Source], places: Mapping[str, TaskPlace],
    augment: str | None, out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Tokenise the rows of an objective once for all epochs, stages and seeds."""
    from hft_core.training.encoding import encode_files, save_arrays

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
    arrays = encode_files(objective, files, streams)
    save_arrays(arrays, out)
    titles = [source.title for source in sources]
    # Only a preprocessor of texts knows what an unknown piece is.
    unknown = preprocessor.unknown_rate(arrays) if hasattr(preprocessor, "unknown_rate") else None
    write_json(out / "encoded.json", {"sources": titles, "entries": len(arrays["row"]), "unknown_rate": unknown})
    if unknown is not None and unknown > 0.05:
        process.say(
            f"warning: {unknown:.0%} of the pieces of {', '.join(titles)} are unknown to the tokenizer; choose a model of "
            "this language, or train a tokenizer ({scratch: …, tokenizer: …})"
        )
