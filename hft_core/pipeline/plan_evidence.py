"""The nodes of a plan that put a task's figures beside others: the model before training, baselines, signs for a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hft_core.pipeline.nodes import Node, make_node
from hft_core.pipeline.plan_stages import StageNodes, measuring
from hft_core.pipeline.steps.diagnosis import diagnosis_step
from hft_core.pipeline.steps.evidence import baselines_step, before_step
from hft_core.recipe.metrics import deciding_metrics, task_metrics
from hft_core.recipe.sources import title_of, trained_tasks

BOTH = ("validation", "test")


def before_node(stages: StageNodes, name: str) -> Node:
    """The node that measures a task with the model that the recipe starts from, which has its head."""
    recipe, data, task = stages.recipe, stages.data, stages.recipe.all_tasks[name]
    metrics = task_metrics(task, stages.metrics)
    trained = name in trained_tasks(recipe, range(len(recipe.stages)))
    assert data.start is not None  # what brings the head
    work = partial(before_step, recipe, data.place(name), metrics, data.start, trained)
    inputs = [data.preprocessor, *data.split_nodes(name, *BOTH)]
    settings = measuring(stages, name, metrics) | {"trained": trained}
    title = title_of(recipe, name, "before")
    return make_node(stages.registry, title, "before", settings, [task, recipe.model, *metrics], inputs, work)


def baselines_node(stages: StageNodes, name: str, splits: Sequence[str] = BOTH) -> Node:
    """The node that measures what a model of a task has to beat, on some of its splits."""
    recipe, data, task = stages.recipe, stages.data, stages.recipe.all_tasks[name]
    metrics = task_metrics(task, stages.metrics)
    settings = {
        **data.model_settings,
        "task": task.identity(),
        "metrics": [metric.identity() for metric in metrics],
        "seed": recipe.seed,
        "splits": [split for split in splits if split in data.splits[name]],
    }
    work = partial(baselines_step, recipe, data.place(name), metrics, data.start, splits)
    inputs = [*data.split_nodes(name, *splits), data.preprocessor]
    title = title_of(recipe, name, "baselines")
    return make_node(stages.registry, title, "baselines", settings, [task, recipe.model, *metrics], inputs, work)


def diagnosis_node(
    stages: StageNodes, name: str, chains: Sequence[Sequence[Node]], evaluations: Sequence[Node]
) -> Node | None:
    """The node with what a diagnosis needs beside curves and figures; None where no figure of the task decides."""
    recipe, data, task = stages.recipe, stages.data, stages.recipe.all_tasks[name]
    own = [best.metric for best in deciding_metrics(recipe, stages.metrics) if best.task == name]
    if not own or not evaluations:
        return None
    metric = stages.best.metric if stages.best and stages.best.task == name else own[0]
    lasts = [chain[-1] for chain in chains]
    seeds = [(last.name, evaluation.name) for last, evaluation in zip(lasts, evaluations, strict=True)]
    work = partial(diagnosis_step, recipe, data.place(name), metric, seeds)
    inputs = [*lasts, *evaluations, data.preprocessor, *data.split_nodes(name, "validation")]
    settings = measuring(stages, name, [metric])
    title = title_of(recipe, name, "diagnosis")
    return make_node(stages.registry, title, "diagnosis", settings, [task, recipe.model, metric], inputs, work)
