"""Data: variants of the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hft_core.components import (
    Augmenter,
    HeadSpec,
    Model,
    Objective,
    Preprocessor,
    Stream,
    Task,
    TextBatch,
    Training,
)
from hft_core.data.augmentation import Judge, Making, augment_split
from hft_core.data.prepared import Prepared
from hft_core.data.table import read_table
from hft_core.errors import PluginError
from hft_core.evidence.judge import bundle_judge, tfidf_judge
from hft_core.pipeline.steps.common import Folders, Process, TaskPlace, TaskRows, load_preprocessor, write_json
from hft_core.recipe.check_data import NOTHING_KNOWN
from hft_core.recipe.model import Recipe
from hft_core.runtime.edits import Edit
from hft_core.runtime.randomness import RowRandom

if TYPE_CHECKING:
    from hft_core.components.net import Net
    from hft_core.training.fresh import Fresh


def augment_step(
    place: TaskPlace, task: Task, augmenters: Sequence[Augmenter], seed: int, workers: int,
    model: Model | None, start: Path | None, out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Make variants of the training rows: train.arrow with originals and variants, augmented.json.

    `model` is the recipe's, given where an augmenter reads it; it starts from `start`.
    """
    prepared = Prepared.load(inputs[place.nodes["train"]])
    file = prepared.file("train")
    label = prepared.roles.target[0] if task.classes else None

    def net(heads: Mapping[str, HeadSpec]) -> tuple[Net, Preprocessor]:
        import torch

        assert model is not None
        if start is None:
            raise PluginError(f"prepare.augment: an augmenter {NOTHING_KNOWN}")
        preprocessor = load_preprocessor(inputs["preprocessor"])
        torch.manual_seed(seed)
        built = model.build(start, preprocessor, heads).eval()
        return (built.to("cuda") if torch.cuda.is_available() else built), preprocessor

    training = Training(lambda: read_table(file), prepared.roles, label, net if model else None)

    def judge_of(augmenter: Augmenter) -> Judge | None:
        if augmenter.check is None:
            return None
        assert label is not None, "`check` without labels is refused when the recipe is checked"
        return tfidf_judge(training) if augmenter.check == "tfidf" else bundle_judge(augmenter.check)

    note = augment_split(file, augmenters, prepared.roles, seed, out / "train.arrow", training, judge_of, workers)
    write_json(out / "augmented.json", note)
    _say(note, process)


def fresh_variants(recipe: Recipe, rows: TaskRows, objective: Objective, stream: Stream) -> Fresh | None:
    """Give what makes a task's variants anew beside training; None where no augmenter is `fresh`."""
    augmenters = recipe.prepare.augment
    if not any(augmenter.fresh for augmenter in augmenters):
        return None
    from hft_core.training.fresh import Fresh

    file = rows.train.file("train")
    training = Training(lambda: read_table(file), rows.roles, rows.roles.target[0] if rows.task.classes else None)
    makings = [
        Making(augmenter, augmenter.editor(training) if augmenter.fresh else _stored, position)
        for position, augmenter in enumerate(augmenters)
    ]
    return Fresh(file, makings, rows.roles, recipe.seed, objective, stream)


def _stored(batch: TextBatch, random: RowRandom) -> list[list[Edit]]:
    raise AssertionError("variants that are not fresh are made once, by augment_step")


def _say(note: Mapping[str, Any], process: Process) -> None:
    for name, count in note["made"].items():
        checked = note["checked"].get(name, {"compared": 0, "dropped": 0})
        if checked["compared"]:
            process.say(
                f"check: {checked['dropped']} of {checked['compared']} variants by {name} "
                f"({checked['dropped'] / checked['compared']:.1%}) change the predicted label, and are left out"
            )
        why = (
            "no variant is left"
            if checked["compared"]
            else "it found nothing that it may change, or left no text, so it made no variant"
        )
        process.say(f"made {count} by {name}" if count else f"warning: {name}: {why}")
