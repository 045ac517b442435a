"""What a report says of its own figures: comparisons with the baselines, each seed's figures, and what gates decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hft_core.data.prepared import Prepared
from hft_core.errors import DataError
from hft_core.evidence.comparison import holm
from hft_core.pipeline.divergence import first_divergence
from hft_core.pipeline.gates import Decision, Settled
from hft_core.pipeline.plan import Plan
from hft_core.pipeline.report_figures import baseline_folders, lost_seeds
from hft_core.pipeline.steps.common import read_json
from hft_core.pipeline.steps.gate import compared, one_class
from hft_core.recipe.metrics import best_metric, deciding_metrics, task_metrics
from hft_core.recipe.model import Recipe
from hft_core.store.store import Store


def gates(settled: Settled) -> list[dict[str, Any]]:
    """What became of each entry with `when: helps`."""
    return [_gate(decision) for decision in settled.decisions]


def _gate(decision: Decision) -> dict[str, Any]:
    verdict = decision.verdict or {"verdict": "not tried"}
    return {"title": decision.title, "kept": decision.kept} | verdict


def gate_warnings(decisions: Sequence[Decision]) -> list[str]:
    """Seeds of an arm whose model gives every row the same label: they count as they are, and the reader should know."""
    return [
        f"gate {decision.title}: {len(seeds)} of {decision.verdict['seeds']} seeds {side} it end in a model that gives every "
        "validation row the same label; they count like the others"
        for decision in decisions
        if decision.verdict
        for side, seeds in decision.verdict.get("one_class", {}).items()
        if seeds
    ]


def divergence_warnings(plan: Plan, store: Store, folders: Mapping[str, Path]) -> list[str]:
    """Baselines that came to no figures."""
    found = []
    for task in plan.tasks.values():
        if lost := lost_seeds(task, folders):
            message = first_divergence(store, lost) or "it came to figures that are no numbers"
            found.append(
                f"plain fine-tuning, the baseline, diverged with {len(lost)} of {len(task.plain)} seeds and has no figures: "
                f"{message}"
            )
    return list(dict.fromkeys(found))


def comparisons(
    recipe: Recipe, plan: Plan, folders: Mapping[str, Path], split: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The model against each baseline, on the figure that decides: paired by row, and by seed where both have them.

    The p-values are two-sided and corrected by Holm's method. Gives, besides, why some baselines cannot be compared.
    """
    best = best_metric(recipe, plan.metrics)
    if best is None or not plan.tasks[best.task].evaluations:
        return [], []
    position = task_metrics(recipe.all_tasks[best.task], plan.metrics).index(best.metric)
    model = [folders[node.name] for node in plan.tasks[best.task].evaluations]
    facts = Prepared.load(folders[plan.tasks[best.task].train.name]).facts
    found: list[dict[str, Any]] = []
    refused: list[str] = []
    for name, measured in baseline_folders(plan.tasks[best.task], folders).items():
        if not (measured[0] / f"{split}.{position}.npy").is_file():
            continue  # no such split, or no such figure: see `evaluation.save`
        try:
            result = compared(best.metric, position, False, split, measured, model, facts)
        except DataError as error:  # one row, or a figure that is no number
            refused.append(f"the model is not compared with the baseline {name} on {split}: {error}")
            continue
        told = result.told(best.metric.greater_is_better)
        found.append({"baseline": name, "split": split, "metric": best.title, **told, "p": result.p_two_sided})
    for entry, adjusted in zip(found, holm([entry["p"] for entry in found]), strict=True):
        entry["adjusted"] = adjusted
    return found, refused


def retained(recipe: Recipe, plan: Plan, folders: Mapping[str, Path]) -> tuple[list[dict[str, Any]], list[str]]:
    """What became of tasks that the model knew before the run: each one's first figure before and after, by row and seed.

    On test where there is one. Falling figures are what it has forgotten. Gives, besides, why some cannot be compared.
    """
    found, refused = [], []
    for name, task in plan.tasks.items():
        own = [best for best in deciding_metrics(recipe, plan.metrics) if best.task == name]
        measured = [folders[node.name] for node in task.evaluations]
        if task.before is None or not own or not measured:
            continue
        chosen = next((best for best in own if best == best_metric(recipe, plan.metrics)), own[0])
        position = task_metrics(recipe.all_tasks[name], plan.metrics).index(chosen.metric)
        before = folders[task.before.name]
        split = next((one for one in ("test", "validation") if (before / f"{one}.{position}.npy").is_file()), None)
        if split is None:
            continue  # the model did not have this task
        facts = Prepared.load(folders[task.train.name]).facts
        try:
            result = compared(chosen.metric, position, False, split, [before], measured, facts)
        except DataError as error:
            refused.append(f"what the model knew of the task {name} before is not compared on {split}: {error}")
            continue
        values = [read_json(folder / f"{split}.json")["figures"][chosen.metric.title] for folder in measured]
        found.append(
            {
                "task": name,
                "split": split,
                "metric": chosen.metric.title,
                "greater_is_better": chosen.metric.greater_is_better,
                "before": read_json(before / f"{split}.json")["figures"][chosen.metric.title],
                "after": sum(values) / len(values),
                **result.told(chosen.metric.greater_is_better),
                "p": result.p_two_sided,
            }
        )
    return found, refused


def by_seed(recipe: Recipe, plan: Plan, folders: Mapping[str, Path], split: str) -> list[dict[str, Any]]:
    """The deciding figure of each seed on validation and `split`, and whether its model knows one label only."""
    best = best_metric(recipe, plan.metrics)
    if best is None or recipe.evaluate.seeds == 1:
        return []
    measured = [folders[node.name] for node in plan.tasks[best.task].evaluations]
    degenerate = one_class(measured, split)
    rows = []
    for number, folder in enumerate(measured):
        figures = {
            name: read_json(folder / f"{name}.json")["figures"][best.metric.title]
            for name in dict.fromkeys(("validation", split))
        }
        rows.append({"seed": recipe.seed + number, "figures": figures, "one_class": number in degenerate})
    return rows
