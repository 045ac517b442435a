"""Data: rows, preprocessor, encoded arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hft_core.components import Model, Objective, Reader, Stream
from hft_core.data.augmentation import augment_split
from hft_core.data.prepare import Prepared, prepare_task, prepare_text
from hft_core.data.table import read_table
from hft_core.pipeline.steps.common import Folders, Process, bound_task, load_preprocessor, read_json, write_json
from hft_core.recipe.model import SPLITS, Recipe


def prepare_task_step(
    recipe: Recipe, sources: Mapping[str, Reader], out: Path, inputs: Folders, process: Process
) -> None:
    """Read, split, clean and check the task's rows."""
    assert recipe.task is not None
    prepare_task(recipe.task, sources, recipe.data.split, recipe.prepare.clean, out)
    content = read_json(out / "prepared.json")
    for name, ledger in content["ledger"].items():
        moved = f", set aside for other splits {ledger['moved']}" if ledger["moved"] else ""
        process.say(
            f"{name}: read {ledger['read']}, kept {ledger['kept']}, quarantined {sum(ledger['quarantined'].values())}, "
            f"dropped {sum(ledger['dropped'].values())}{moved}"
        )
    for check in content["checks"]:
        if check["severity"] in ("warning", "error"):
            process.say(f"{check['severity']}: {check['title']}")


def prepare_text_step(recipe: Recipe, reader: Reader, name: str, out: Path, inputs: Folders, process: Process) -> None:
    """Read and clean a source of unlabelled text; its file is called text.arrow."""
    prepare_text(reader, name, recipe.prepare.clean, out)
    ledger = read_json(out / "prepared.json")["ledger"]["text"]
    process.say(f"{name}: read {ledger['read']}, kept {ledger['kept']}")


def augment_step(recipe: Recipe, out: Path, inputs: Folders, process: Process) -> None:
    """Make variants of the training rows: train.arrow with originals and variants, augmented.json."""
    prepared = Prepared.load(inputs["prepare"])
    note = augment_split(
        prepared.file("train"), recipe.prepare.augment, prepared.roles, recipe.seed, out / "train.arrow"
    )
    write_json(out / "augmented.json", note)
    for name, count in note["made"].items():
        process.say(
            f"made {count} by {name}" if count else f"warning: {name} found nothing to change, so it made no variant"
        )


def preprocessor_step(model: Model, start: Path | None, out: Path, inputs: Folders, process: Process) -> None:
    """Load the model's preprocessor, or train it on the cleaned texts of the inputs."""
    preprocessor = model.preprocessor(start, _texts(inputs))
    preprocessor.save(out)
    write_json(out / "preprocessor.json", {"module": preprocessor.module, "settings": preprocessor.settings()})
    if model.learns_preprocessor():
        process.say(f"trained a preprocessor with {preprocessor.vocabulary} tokens")


def _texts(inputs: Folders) -> Any:
    """All texts of the training split and of unlabelled sources."""
    for folder in inputs.values():
        prepared = Prepared.load(folder)
        for split in ("train", "text"):
            for columns in read_table(prepared.file(split)):
                for name in prepared.roles.text:
                    yield from columns[name]


def encode_step(
    recipe: Recipe, objective: Objective, names: Sequence[str], out: Path, inputs: Folders, process: Process
) -> None:
    """Tokenise the rows of an objective once for all epochs, stages and seeds."""
    from hft_core.training.encoding import encode_files, save_arrays

    preprocessor = load_preprocessor(inputs["preprocessor"])
    files, streams = [], []
    for name in names:
        own = recipe.task is not None and name in SPLITS
        prepared = Prepared.load(inputs["prepare" if own else f"prepare {name}"])
        augmented = own and "augment" in inputs
        files.append(inputs["augment"] / "train.arrow" if augmented else prepared.file(name if own else "text"))
        task = bound_task(recipe.task, prepared) if recipe.task and own else None
        streams.append(Stream(preprocessor, prepared.roles, task, prepared.facts))
    arrays = encode_files(objective, files, streams)
    save_arrays(arrays, out)
    unknown = preprocessor.unknown_rate(arrays)
    write_json(out / "encoded.json", {"sources": list(names), "entries": len(arrays["row"]), "unknown_rate": unknown})
    if unknown > 0.05:
        process.say(
            f"warning: {unknown:.0%} of the pieces of {', '.join(names)} are unknown to the tokenizer; choose a model of "
            "this language, or train a tokenizer ({scratch: …, tokenizer: …})"
        )
