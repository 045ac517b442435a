"""The figures of a report: of the model and its baselines, with intervals; errors and confusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hft_core.data.prepared import Prepared
from hft_core.evidence import evaluation
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.plan import Plan, TaskPlan
from hft_core.pipeline.steps.common import read_json
from hft_core.recipe.metrics import best_metric, deciding_metrics, task_metrics
from hft_core.recipe.model import Recipe
from hft_core.report.svg import MOST_CLASSES


def headlines(recipe: Recipe, plan: Plan, folders: Mapping[str, Path]) -> list[dict[str, str]]:
    """The figure that people look at first, for each task: that which decides, or its first one."""
    best = best_metric(recipe, plan.metrics)
    found = []
    for name, task in plan.tasks.items():
        own = [one.title for one in deciding_metrics(recipe, plan.metrics) if one.task == name]
        if task.evaluations and own:
            on_test = (folders[task.evaluations[0].name] / "test.json").is_file()
            title = best.title if best and best.task == name else own[0]
            found.append({"split": "test" if on_test else "validation", "metric": title})
    return found


def metrics(recipe: Recipe, plan: Plan, folders: Mapping[str, Path], shipped: int) -> dict[str, Any]:
    """Figures with intervals by split; with several tasks their names begin with the task's."""
    found: dict[str, dict[str, Any]] = {}
    for name, task in plan.tasks.items():
        evaluated = [folders[node.name] for node in task.evaluations]
        if evaluated:
            for split, figures in _figures(recipe, name, plan, folders, evaluated, shipped).items():
                found.setdefault(split, {}).update(figures)
    return found


def _figures(
    recipe: Recipe, name: str, plan: Plan, folders: Mapping[str, Path], measured: Sequence[Path], shipped: int = 0
) -> dict[str, dict[str, Any]]:
    metrics = task_metrics(recipe.all_tasks[name], plan.metrics)
    facts = Prepared.load(folders[plan.tasks[name].train.name]).facts
    prefix = f"{name}." if len(plan.tasks) > 1 else ""
    found = {
        split: evaluation.figures(measured, split, metrics, facts, recipe.seed, shipped)
        for split in ("validation", "test")
    }
    return {
        split: {prefix + title: figure for title, figure in figures.items()}
        for split, figures in found.items()
        if figures
    }


def baselines(recipe: Recipe, plan: Plan, folders: Mapping[str, Path]) -> dict[str, Any]:
    """Figures of each baseline by split."""
    result: dict[str, Any] = {}
    for name, task in plan.tasks.items():
        for title, measured in baseline_folders(task, folders).items():
            for split, figures in _figures(recipe, name, plan, folders, measured).items():
                result.setdefault(title, {}).setdefault(split, {}).update(figures)
    return result


def baseline_folders(task: TaskPlan, folders: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Where the figures of each baseline lie: one folder, or one per seed of what is trained."""
    found = {"before": [folders[task.before.name]]} if task.before else {}
    if task.baselines:
        found |= {item.name: [item] for item in sorted(folders[task.baselines.name].iterdir()) if item.is_dir()}
    if task.plain and not lost_seeds(task, folders):
        found["plain"] = [folders[node.name] for node in task.plain]
    return found


def lost_seeds(task: TaskPlan, folders: Mapping[str, Path]) -> list[Node]:
    """The evaluations of plain fine-tuning that there are not, because it diverged: without one there is no fair mean."""
    return [node for node in task.plain if node.name not in folders]


def measured_rows(evaluated: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """How many rows each split has that the task which decides was measured on, and a hash of them with their labels."""
    found = {}
    for split in ("validation", "test"):
        if evaluated and (file := evaluated[0] / f"{split}.json").is_file():
            content = read_json(file)
            found[split] = {"rows": content["rows"], "digest": content["digest"]}
    return found


def cost(plan: Plan, folders: Mapping[str, Path]) -> dict[str, Any]:
    """What the stages of all seeds took to train, each once; of gates and baselines nothing."""
    notes = [
        read_json(folders[node.name] / "stage.json")
        for node in {node.key: node for chain in plan.stages for node in chain}.values()
    ]
    return {
        "stages": len(notes),
        "seconds": round(sum(note["seconds"] for note in notes), 1),
        "cpu_seconds": round(sum(sum(note["cpu_seconds"].values()) for note in notes), 1),
    }


def details(evaluated: Sequence[Path], split: str, shipped: int) -> dict[str, Any]:
    """Errors of the model that ships on the task that decides and, where that has labels, figures per class and confusion."""
    nothing: dict[str, Any] = {"per_class": [], "confusion": None, "errors": []}
    if not evaluated:
        return nothing
    content = read_json(evaluated[shipped] / f"{split}.json")
    found = nothing | {"errors": content["errors"]}
    facts = read_json(evaluated[shipped] / "facts.json")
    if (scores := evaluated[shipped] / f"{split}.scores.json").is_file():
        tuned = {key: facts[key] for key in ("temperature", "uncalibrated") if key in facts}
        found |= {"scores": read_json(scores) | {"split": split} | tuned}
    known = list(map(str, facts.get("labels", ())))
    if "sets" in content:
        return found | {"per_class": _per_class(known, content["sets"])}
    if "pairs" not in content:
        return found
    pairs = [(str(truth), str(told)) for truth, told in content["pairs"]]
    labels = [*known, *sorted({label for pair in pairs for label in pair} - set(known))]
    per_class = _per_class(labels, [([truth], [told]) for truth, told in pairs])
    return found | {"per_class": per_class, "confusion": _confusion(labels, pairs)}


def _confusion(labels: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How often each label was taken for each other one; of many labels, whose table would be huge, the worst pairs alone."""
    counts = Counter(pairs)
    if len(labels) <= MOST_CLASSES:
        return {"labels": labels, "matrix": [[counts[truth, told] for told in labels] for truth in labels]}
    support = Counter(truth for truth, _ in pairs)
    wrong = [(pair, rows) for pair, rows in counts.most_common() if pair[0] != pair[1]][:10]
    worst = [
        {"truth": truth, "predicted": told, "rows": rows, "share": rows / support[truth]}
        for (truth, told), rows in wrong
    ]
    return {"labels": labels, "matrix": [], "worst": worst}


def other_tasks(plan: Plan, deciding: str | None, folders: Mapping[str, Path], shipped: int) -> list[dict[str, Any]]:
    """The same of each task but the one that decides, on its test rows where it has some."""
    found = []
    for name, task in plan.tasks.items():
        evaluated = [folders[node.name] for node in task.evaluations]
        if evaluated and name != deciding:
            split = "test" if (evaluated[0] / "test.json").is_file() else "validation"
            found.append({"task": name, "split": split, **details(evaluated, split, shipped)})
    return found


def _per_class(labels: Sequence[str], rows: Sequence[Sequence[Sequence[str]]]) -> list[dict[str, Any]]:
    """Figures of each label, from the true and the predicted labels of each row."""
    hits, support, predicted = Counter[str](), Counter[str](), Counter[str]()
    for truth, told in rows:
        support.update(truth)
        predicted.update(told)
        hits.update(set(truth) & set(told))
    return [
        {
            "label": label,
            "precision": hits[label] / max(1, predicted[label]),
            "recall": hits[label] / max(1, support[label]),
            "f1": 2 * hits[label] / max(1, support[label] + predicted[label]),
            "support": support[label],
        }
        for label in labels
    ]
