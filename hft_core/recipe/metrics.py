"""Which metrics a run uses, and which one decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hft_core.components import Metric, Task
from hft_core.recipe.model import Recipe, Stage
from hft_core.registry import Registry


@dataclass(frozen=True)
class Best:
    """The figure that decides: a metric of a task."""

    task: str
    metric: Metric
    title: str
    """`METRIC`, with several tasks `TASK.METRIC`."""


def resolve_metrics(recipe: Recipe, registry: Registry) -> list[Metric]:
    """The recipe's metrics, or the tasks' usual ones."""
    if recipe.evaluate.metrics:
        return list(recipe.evaluate.metrics)
    known = registry.classes(Metric.kind)
    metrics: dict[str, Metric] = {}
    for task in recipe.all_tasks.values():
        for settings in task.default_metrics:
            if settings["type"] in known:
                metric = known[settings["type"]].model_validate(settings)
                assert isinstance(metric, Metric)
                metrics.setdefault(metric.title, metric)
    return list(metrics.values())


def task_metrics(task: Task, metrics: Sequence[Metric]) -> list[Metric]:
    """Those that apply to a task's predictions."""
    return [metric for metric in metrics if measures(metric, task)]


def measures(metric: Metric, task: Task) -> bool:
    """Whether a metric applies to a task's predictions."""
    return metric.needs <= task.gives and metric.target_form in (None, task.target_form)


def text_metrics(stage: Stage, metrics: Sequence[Metric]) -> list[Metric]:
    """Those that apply to the held-out text of a stage's objectives."""
    return [m for m in metrics if any(objective.gives and m.needs <= objective.gives for objective in stage.objectives)]


def deciding_metrics(recipe: Recipe, metrics: Sequence[Metric]) -> list[Best]:
    """All figures that may decide, by their titles; the first one does where the recipe does not say."""
    several = len(recipe.all_tasks) > 1
    return [
        Best(name, metric, f"{name}.{metric.title}" if several else metric.title)
        for name, task in recipe.all_tasks.items()
        for metric in task_metrics(task, metrics)
    ]


def best_metric(recipe: Recipe, metrics: Sequence[Metric]) -> Best | None:
    """What chooses checkpoints and the seed that ships: the recipe's `best`, or the first task's first metric."""
    found = deciding_metrics(recipe, metrics)
    wanted = recipe.evaluate.best
    return next(
        (best for best in found if wanted in (best.title, f"{best.task}.{best.metric.title}")),
        found[0] if found else None,
    )
