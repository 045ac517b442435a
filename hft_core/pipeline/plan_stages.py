"""The nodes of a plan that train: one per stage and seed, and the trial of all stages before the first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from hft_core.components import Component, Metric, Task
from hft_core.pipeline.nodes import Node, make_node
from hft_core.pipeline.plan_data import DataNodes
from hft_core.pipeline.steps.evidence import evaluate_step
from hft_core.pipeline.steps.stage import StageStep, kept_heads
from hft_core.pipeline.steps.trial import TrialStep
from hft_core.recipe.check import stage_name
from hft_core.recipe.metrics import Best, best_metric, deciding_metrics, resolve_metrics, task_metrics, text_metrics
from hft_core.recipe.model import Recipe, Stage
from hft_core.recipe.sources import brought_tasks, head_name, title_of, trained_tasks
from hft_core.registry import Registry
from hft_core.training.precision import resolve


class StageNodes:
    """The stages of a recipe, on the data nodes that they read."""

    def __init__(self, recipe: Recipe, registry: Registry, data: DataNodes):
        self.recipe, self.registry, self.data, self.start = recipe, registry, data, data.start
        self.metrics: list[Metric] = resolve_metrics(recipe, registry)
        self.best = best_metric(recipe, self.metrics)
        self.brought = brought_tasks(recipe)
        self.precision = resolve(recipe.precision)
        self._node = partial(make_node, registry)

    def known(self, stages: Sequence[int]) -> dict[str, Task]:
        """The tasks whose heads the net has after these stages: those that they train, and those that came with its start."""
        trained = trained_tasks(self.recipe, stages)
        return {name: task for name, task in self.recipe.all_tasks.items() if name in trained or name in self.brought}

    def chain(self, seed: int) -> list[Node]:
        """The stages of one seed; pretrain stages before the first finetune stage keep the recipe's seed."""
        chain: list[Node] = []
        stages = self.recipe.stages
        tuned = False
        for index, stage in enumerate(stages):
            finetune = stage.stage == "finetune"
            tuned = tuned or finetune
            own_seed = self.recipe.seed + (seed if tuned else 0)
            before = chain[-1:]
            best = self._best_of(stage) if finetune else None
            of_tasks = self._rows_of(index)
            settings = {
                **self.data.model_settings,
                "stage": stage_identity(stage),
                "carried": [head_name(objective) for other in stages[:index] for objective in other.objectives],
                "kept": self._kept(index) if self.start else [],
                "seed": own_seed,
                "precision": self.precision,
                "best": [best.task, best.metric.identity()] if best else None,
            }
            served = trained_tasks(self.recipe, [index])
            metrics = {name: task_metrics(task, self.metrics) for name, task in served.items()}
            known = self.known(range(index + 1))
            components: list[Component] = [
                self.recipe.model, *stage.objectives, stage.optimizer, stage.schedule, *stage.techniques, *known.values(),
                *([best.metric] if best else []),  # the others are measured, but change nothing
            ]  # fmt: skip
            work = StageStep(
                recipe=self.recipe,
                stage=stage,
                earlier=stages[:index],
                later=stages[index + 1 :],
                seed=own_seed,
                precision=self.precision,
                metrics=metrics,
                text_metrics=text_metrics(stage, self.metrics),
                best=best,
                source=self.start,
                before=before[0].name if before else None,
                encodes=[node.name for node in self.data.encodes[index]],
                tasks=[self.data.place(name) for name in known],
            )
            suffix = f" (seed {own_seed})" if self.recipe.evaluate.seeds > 1 and tuned else ""
            name = f"stage {stage_name(stage, index)}{suffix}"
            inputs = [*before, *self.data.encodes[index], self.data.preprocessor, *of_tasks]
            chain.append(self._node(name, "stage", settings, components, inputs, work, stage=stage_name(stage, index)))
        return chain

    def trial(self, chain: Sequence[Node]) -> list[Node]:
        """Where there are several stages: the node that tries all of them before the first one is trained.

        The stages do not read it, or a change of the last one would train the first one again.
        """
        if len(chain) == 1:
            return []
        settings = {
            "stages": [node.parts["settings"] for node in chain],
            "metrics": [metric.identity() for metric in self.metrics],
        }
        components: list[Component] = [self.recipe.model, *self.recipe.all_tasks.values(), *self.metrics]
        for stage in self.recipe.stages:
            components += [*stage.objectives, stage.optimizer, stage.schedule, *stage.techniques]
        read = {item.name: item for node in chain for item in node.inputs if item.kind != "stage"}
        work = TrialStep([(node.name, node.work) for node in chain if isinstance(node.work, StageStep)])
        return [self._node("try stages", "trial", settings, components, list(read.values()), work)]

    def _kept(self, index: int) -> list[str]:
        """Heads that a stage's net has beside its own and earlier stages', if the model that the recipe starts from has them."""
        stages = self.recipe.stages
        own = {head_name(objective) for stage in stages[: index + 1] for objective in stage.objectives}
        return [name for name in (*self.brought, *kept_heads(stages[index + 1 :])) if name not in own]

    def _best_of(self, stage: Stage) -> Best | None:
        """What chooses a stage's best epoch: the recipe's figure, or the first one of the task that the stage trains first."""
        served = [objective.trained_task for objective in stage.objectives if objective.trained_task]
        if self.best is None or self.best.task in served:
            return self.best
        return next((best for best in deciding_metrics(self.recipe, self.metrics) if best.task == served[0]), None)

    def _rows_of(self, index: int) -> list[Node]:
        """The prepared rows that a stage reads: facts of every task whose head it has, validation of those it trains.

        Pre-training on text that no task's rows are part of does not depend on them.
        """
        served = trained_tasks(self.recipe, [index])
        nodes = [
            node
            for name in self.known(range(index + 1))
            for node in self.data.split_nodes(name, *(["validation"] if name in served else []))
        ]
        return list({node.name: node for node in nodes}.values())


def measuring(stages: StageNodes, task: str, metrics: Sequence[Metric]) -> dict[str, Any]:
    """What a task's figures depend on beside rows and weights."""
    return {
        "metrics": [metric.identity() for metric in metrics],
        **stages.data.model_settings,
        "task": [task, stages.recipe.all_tasks[task].identity()],
    }


def evaluation_node(
    stages: StageNodes, task: str, seed: int, stage: Node, splits: Sequence[str] = ("validation", "test")
) -> Node:
    """The node that measures a task on some of its splits, after the last stage of one seed."""
    recipe, data = stages.recipe, stages.data
    metrics = task_metrics(recipe.all_tasks[task], stages.metrics)
    work = partial(evaluate_step, recipe, data.place(task), metrics, stage.name, splits)
    suffix = f" (seed {recipe.seed + seed})" if recipe.evaluate.seeds > 1 else ""
    inputs = [stage, data.preprocessor, *data.split_nodes(task, *splits)]
    components: list[Component] = [recipe.all_tasks[task], recipe.model, *metrics]
    title = f"{title_of(recipe, task, 'evaluate')}{suffix}"
    there = [split for split in splits if split in data.splits[task]]
    settings = measuring(stages, task, metrics) | {"splits": there}
    return make_node(stages.registry, title, "evaluate", settings, components, inputs, work)


def stage_identity(stage: Stage) -> dict[str, Any]:
    """What a stage's own settings contribute to its key: all that changes its result.

    How many processes train it, and whether they shard the weights, is no part of it: the batches, their order and what is
    added up are the same, and results differ by rounding (docs/distributed.md), as they do from one machine to another.
    """
    return {
        "stage": stage.stage,
        "objectives": [
            {k: v for k, v in objective.identity().items() if k != "data"}
            | {"head": head_name(objective), "batch_size": objective.batch_size or stage.batch_size}
            for objective in stage.objectives
        ],
        "epochs": stage.epochs,
        "batch_size": stage.batch_size,
        "micro_batch": stage.micro_batch,
        "optimizer": stage.optimizer.identity(),
        "schedule": stage.schedule.identity(),
        # Names are for people, and a technique may refer to objectives by them: their places count.
        "techniques": [
            {k: v for k, v in technique.identity().items() if k != "on"}
            | {"on": [place for place, objective in enumerate(stage.objectives) if technique.applies(objective)]}
            for technique in stage.techniques
        ],
        "clip": stage.clip,
        "early_stopping": stage.early_stopping,
        "plateau": stage.plateau.model_dump() if stage.plateau else None,
    }
