"""Which metrics a run uses, and which one decides."""

from __future__ import annotations

from collections.abc import Sequence

from hft_core.components import Metric
from hft_core.recipe.model import Recipe, Stage
from hft_core.registry import Registry


def resolve_metrics(recipe: Recipe, registry: Registry) -> list[Metric]:
    """The recipe's metrics, or the task's usual ones."""
    if recipe.evaluate.metrics or recipe.task is None:
        return list(recipe.evaluate.metrics)
    known = registry.classes(Metric.kind)
    metrics = []
    for settings in recipe.task.default_metrics:
        if settings["type"] in known:
            metric = known[settings["type"]].model_validate(settings)
            assert isinstance(metric, Metric)
            metrics.append(metric)
    return metrics


def task_metrics(recipe: Recipe, metrics: Sequence[Metric]) -> list[Metric]:
    """Those that apply to the task's predictions."""
    return [metric for metric in metrics if recipe.task is not None and metric.needs <= recipe.task.gives]


def text_metrics(stage: Stage, metrics: Sequence[Metric]) -> list[Metric]:
    """Those that apply to the held-out text of a stage's objectives."""
    return [m for m in metrics if any(objective.gives and m.needs <= objective.gives for objective in stage.objectives)]


def best_metric(recipe: Recipe, metrics: Sequence[Metric]) -> Metric | None:
    """The metric that chooses checkpoints and the seed that ships: the recipe's `best`, or the first of the task's."""
    wanted = (recipe.evaluate.best or "").removeprefix("main.")
    own = task_metrics(recipe, metrics)
    return next((metric for metric in own if metric.title == wanted), own[0] if own else None)
