"""Gathers what a diagnosis goes by: curves of every seed, figures beside baselines, predictions, signs of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hft_core.data.prepared import Prepared
from hft_core.evidence.diagnosis import ObjectiveSeen, Seen, StageSeen, TaskSeen, diagnose
from hft_core.pipeline.plan import Plan, TaskPlan
from hft_core.pipeline.report_figures import baseline_folders
from hft_core.pipeline.steps.common import read_json
from hft_core.pipeline.steps.diagnosis import SIGNS
from hft_core.recipe.check import stage_name
from hft_core.recipe.check_data import is_fresh
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import best_metric, deciding_metrics
from hft_core.recipe.model import Recipe

_CONSTANT = ("majority", "frequent-set", "mean")
_LINEAR = ("tfidf", "tfidf-ridge", "probe", "probe-ridge")


def findings(loaded: LoadedRecipe, plan: Plan, folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """What went wrong or could be better, as plain JSON; paths are those of this recipe."""
    return [finding.plain() for finding in diagnose(seen(loaded, plan, folders))]


def seen(loaded: LoadedRecipe, plan: Plan, folders: Mapping[str, Path]) -> Seen:
    """Gather the facts."""
    return Seen(
        stages=[_stage(loaded, plan, folders, index) for index in range(len(loaded.recipe.stages))],
        tasks=[found for name in plan.tasks for found in _task(loaded, plan, folders, name)],
    )


def _stage(loaded: LoadedRecipe, plan: Plan, folders: Mapping[str, Path], index: int) -> StageSeen:
    stage = loaded.recipe.stages[index]
    nodes = {chain[index].name: chain[index] for chain in plan.stages}
    notes = [read_json(folders[name] / "stage.json") for name in nodes]
    return StageSeen(
        index=index,
        name=stage_name(stage, index),
        optimizer=stage.optimizer.type_name(),
        optimizer_written="optimizer" in loaded.raw["stages"][index],
        lr=stage.optimizer.lr,
        epochs=notes[0]["history"][-1]["epoch"] if stage.early_stopping or stage.epochs is None else stage.epochs,
        steps=notes[0]["steps"],
        known=not stage.techniques and not is_fresh(loaded.recipe.model),
        histories=[note["history"] for note in notes],
    )


def _task(loaded: LoadedRecipe, plan: Plan, folders: Mapping[str, Path], name: str) -> Iterator[TaskSeen]:
    recipe, task = loaded.recipe, plan.tasks[name]
    if task.diagnosis is None or not (folders[task.evaluations[0].name] / "validation.json").is_file():
        return
    best = best_metric(recipe, plan.metrics)
    own = [one for one in deciding_metrics(recipe, plan.metrics) if one.task == name]
    decides = best if best and best.task == name else own[0]
    title = decides.metric.title
    measured = [read_json(folders[node.name] / "validation.json") for node in task.evaluations]
    others = {
        label: read_json(found[0] / "validation.json")["figures"].get(title)
        for label, found in baseline_folders(task, folders).items()
        if (found[0] / "validation.json").is_file()
    }
    if any(title not in one["figures"] for one in measured):
        return  # see `evaluation.save`
    signs = read_json(folders[task.diagnosis.name] / SIGNS)
    trained = trained_by(recipe, name)
    yield TaskSeen(
        name=name,
        metric=decides.title,
        greater_is_better=decides.metric.greater_is_better,
        rows=measured[0]["rows"],
        figures=[one["figures"][title] for one in measured],
        fitted=[one["fitted"] for one in signs["seeds"]],
        constant=next((others[label] for label in _CONSTANT if others.get(label) is not None), None),
        linear={label: others[label] for label in _LINEAR if others.get(label) is not None},
        labels=_labels(task, folders),
        pairs=[dict(_counted(one.get("pairs", ()))) for one in measured],
        sure=[one["sure"] for one in signs["seeds"]],
        doubts=signs["doubts"],
        tokens=signs["tokens"],
        longest=loaded.raw["model"].get("max_length"),
        stage=trained[0] if trained else None,
        objective=_objective(loaded, *trained) if trained else None,
    )


def trained_by(recipe: Recipe, name: str) -> tuple[int, int] | None:
    """The last stage that trains a task, and its objective there."""
    found = [
        (index, position)
        for index, stage in enumerate(recipe.stages)
        for position, objective in enumerate(stage.objectives)
        if objective.trained_task == name
    ]
    return found[-1] if found else None


def _objective(loaded: LoadedRecipe, stage: int, position: int) -> ObjectiveSeen:
    own = type(loaded.recipe.stages[stage].objectives[position])
    written = loaded.raw["stages"][stage]["objectives"][position]
    return ObjectiveSeen(f"stages.{stage}.objectives.{position}", written, own.type_name(), list(own.model_fields))


def _labels(task: TaskPlan, folders: Mapping[str, Path]) -> dict[str, int]:
    """Training rows by label, once they are cleaned."""
    return dict(Prepared.load(folders[task.train.name]).surveys["train"]["balance"])


def _counted(pairs: Sequence[Sequence[str]]) -> Iterator[tuple[str, dict[str, int]]]:
    """Rows by true label, and of each by what was predicted."""
    found: dict[str, Counter[str]] = {}
    for truth, told in pairs:
        found.setdefault(str(truth), Counter())[str(told)] += 1
    for truth, counts in found.items():
        yield truth, dict(counts)
