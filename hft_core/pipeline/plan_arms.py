"""Arms: a recipe trained once per seed and measured on validation alone, to be compared with another of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hft_core.components import Metric
from hft_core.data.folds import Fold
from hft_core.pipeline.nodes import Node, with_inputs
from hft_core.pipeline.plan_data import DataNodes
from hft_core.pipeline.plan_stages import StageNodes, evaluation_node
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import Best, best_metric, resolve_metrics, task_metrics
from hft_core.registry import Registry

MINIMUM_ROWS = 500
"""Validation rows under which arms are compared by cross-validation."""


@dataclass(frozen=True)
class Arm:
    """One side of a comparison."""

    title: str
    nodes: Sequence[Node]
    """All that it needs, each once, in order; their names begin with the title."""
    measured: Sequence[Node]
    """The evaluation of each seed."""
    folds: bool
    """Whether seed i trains without fold i and is measured on it; otherwise all are measured on the same rows."""

    @property
    def stages(self) -> list[Node]:
        """The stages to train, over all seeds."""
        return [node for node in self.nodes if node.kind == "stage"]


def build_arm(loaded: LoadedRecipe, registry: Registry, title: str, folds: bool) -> Arm:
    """Make an arm of a recipe without gates; its export, baselines and test are left out."""
    best = deciding(loaded, registry)[0]
    measured = [
        evaluation_node(stages, best.task, seed, stages.chain(seed)[-1], ["validation"])
        for seed, stages in enumerate(stages_of_seeds(loaded, registry, folds))
    ]
    nodes = [replace(node, name=f"{title}: {node.name}") for node in with_inputs(measured)]
    return Arm(title, nodes, measured, folds)


def stages_of_seeds(loaded: LoadedRecipe, registry: Registry, folds: bool) -> list[StageNodes]:
    """The stages that each seed of an arm trains: with `folds` each on rows of its own."""
    recipe, start = loaded.recipe, loaded.recipe.model.locate()
    seeds = range(recipe.evaluate.seeds)
    if not folds:
        return [StageNodes(recipe, registry, DataNodes(recipe, registry, start))] * len(seeds)
    task = deciding(loaded, registry)[0].task
    parts = [{task: Fold(seed, len(seeds))} for seed in seeds]
    return [StageNodes(recipe, registry, DataNodes(recipe, registry, start, part)) for part in parts]


def deciding(loaded: LoadedRecipe, registry: Registry) -> tuple[Best, int]:
    """The figure by which arms are compared, and the place of its metric among those of its task."""
    metrics: list[Metric] = resolve_metrics(loaded.recipe, registry)
    best = best_metric(loaded.recipe, metrics)
    assert best is not None  # a recipe with gates has a task, and a task has metrics
    return best, task_metrics(loaded.recipe.all_tasks[best.task], metrics).index(best.metric)
