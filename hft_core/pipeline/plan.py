"""Builds the plan of a recipe: which nodes, from which inputs, under which keys. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hft_core.components import Component, Exporter, Metric, RowFilter, Task
from hft_core.errors import PluginError
from hft_core.pipeline.nodes import Node, make_node
from hft_core.pipeline.plan_data import DataNodes
from hft_core.pipeline.steps.evidence import baselines_step, evaluate_step
from hft_core.pipeline.steps.export import export_step
from hft_core.pipeline.steps.stage import StageStep
from hft_core.recipe.check import stage_name
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import Best, best_metric, deciding_metrics, resolve_metrics, task_metrics, text_metrics
from hft_core.recipe.model import Recipe, Stage
from hft_core.recipe.sources import head_name, title_of, trained_tasks
from hft_core.registry import Registry
from hft_core.registry.registry import FILE
from hft_core.training.precision import resolve


@dataclass(frozen=True)
class TaskPlan:
    """The nodes of one task."""

    splits: Mapping[str, Node]
    """The node that holds each split: its own, or that of train."""
    augment: Node | None
    checks: Node
    baselines: Node | None
    evaluations: Sequence[Node]
    """One per seed."""
    exports: Sequence[Node]
    """One per exporter of the recipe."""

    @property
    def train(self) -> Node:
        """The node with the training rows and what the task learned from them."""
        return self.splits["train"]


@dataclass(frozen=True)
class Plan:
    """All nodes in an order that can be carried out, and those a run looks up by role."""

    nodes: Sequence[Node]
    tasks: Mapping[str, TaskPlan]
    texts: Mapping[str, Node]
    encodes: Sequence[Node]
    stages: Sequence[Sequence[Node]]
    """Per seed, the stages in order; pretrain stages are shared."""
    precision: str
    metrics: Sequence[Metric]

    @property
    def exports(self) -> list[Node]:
        """All exports."""
        return [node for task in self.tasks.values() for node in task.exports]


def build_plan(loaded: LoadedRecipe, registry: Registry) -> Plan:
    """Make the plan. Locates the model (fetching a hub model), reads and hashes the input files."""
    return _Builder(loaded.recipe, registry).plan()


class _Builder:
    def __init__(self, recipe: Recipe, registry: Registry):
        self.recipe, self.registry = recipe, registry
        self.metrics = resolve_metrics(recipe, registry)
        self.best = best_metric(recipe, self.metrics)
        self.start = recipe.model.locate()
        self.precision = resolve(recipe.precision)
        self.data = DataNodes(recipe, registry, self.start)
        self._node = partial(make_node, registry)

    def plan(self) -> Plan:
        recipe, data = self.recipe, self.data
        chains = [self._chain(seed) for seed in range(recipe.evaluate.seeds)]
        trained = trained_tasks(recipe, range(len(recipe.stages)))
        evaluations = {
            name: [self._evaluate(name, task, seed, chain[-1]) for seed, chain in enumerate(chains)]
            for name, task in trained.items()
        }
        tasks = {}
        for name, task in recipe.all_tasks.items():
            exports = [
                self._export(name, task, exporter, evaluations, chains) for exporter in recipe.export if name in trained
            ]
            tasks[name] = TaskPlan(
                splits=data.splits[name],
                augment=data.augments.get(name),
                checks=data.checks[name],
                baselines=self._baselines(name, task) if task.classes and name in trained else None,
                evaluations=evaluations.get(name, []),
                exports=exports,
            )
        encodes = [node for nodes in data.encodes for node in nodes]
        nodes = self._ordered(tasks, encodes, chains)
        return Plan(nodes, tasks, data.texts, encodes, chains, self.precision, self.metrics)

    def _ordered(
        self, tasks: Mapping[str, TaskPlan], encodes: Sequence[Node], chains: Sequence[Sequence[Node]]
    ) -> list[Node]:
        """Each node once, behind all that it reads; quick ones first, so that what is wrong with the data shows early."""
        of_tasks = list(tasks.values())
        rows = [node for task in of_tasks for node in (*task.splits.values(), task.augment)]
        figures = [node for task in of_tasks for node in (*task.evaluations, task.baselines)]
        ordered = [
            *rows, *self.data.texts.values(), *(task.checks for task in of_tasks), self.data.preprocessor, *encodes,
            *(node for chain in chains for node in chain), *figures, *(n for task in of_tasks for n in task.exports),
        ]  # fmt: skip
        return list({node.name: node for node in ordered if node is not None}.values())

    # ---- training ----

    def _chain(self, seed: int) -> list[Node]:
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
                "seed": own_seed,
                "precision": self.precision,
                "best": [best.task, best.metric.identity()] if best else None,
            }
            served = trained_tasks(self.recipe, [index])
            metrics = {name: task_metrics(task, self.metrics) for name, task in served.items()}
            known = trained_tasks(self.recipe, range(index + 1))
            components: list[Component] = [
                self.recipe.model, *stage.objectives, stage.optimizer, stage.schedule, *stage.techniques, *known.values(),
                *([best.metric] if best else []),  # the others are measured, but change nothing
            ]  # fmt: skip
            work = StageStep(
                recipe=self.recipe,
                stage=stage,
                earlier=stages[:index],
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
            chain.append(self._node(name, "stage", settings, components, inputs, work, precision=self.precision))
        return chain

    def _best_of(self, stage: Stage) -> Best | None:
        """What chooses a stage's best epoch: the recipe's figure, or the first one of the task that the stage trains first."""
        served = [objective.task for objective in stage.objectives if objective.task]
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
            for name in trained_tasks(self.recipe, range(index + 1))
            for node in self.data.split_nodes(name, *(["validation"] if name in served else []))
        ]
        return list({node.name: node for node in nodes}.values())

    # ---- evidence and export ----

    def _evaluate(self, name: str, task: Task, seed: int, stage: Node) -> Node:
        metrics = task_metrics(task, self.metrics)
        settings = {
            "metrics": [metric.identity() for metric in metrics],
            **self.data.model_settings,
            "task": [name, task.identity()],
        }
        work = partial(evaluate_step, self.recipe, self.data.place(name), metrics, stage.name)
        suffix = f" (seed {self.recipe.seed + seed})" if self.recipe.evaluate.seeds > 1 else ""
        inputs = [stage, self.data.preprocessor, *self.data.split_nodes(name, "validation", "test")]
        title = f"{title_of(self.recipe, name, 'evaluate')}{suffix}"
        return self._node(title, "evaluate", settings, [task, self.recipe.model, *metrics], inputs, work)

    def _baselines(self, name: str, task: Task) -> Node:
        metrics = task_metrics(task, self.metrics)
        settings = {
            **self.data.model_settings,
            "task": task.identity(),
            "metrics": [metric.identity() for metric in metrics],
            "seed": self.recipe.seed,
        }
        work = partial(baselines_step, self.recipe, self.data.place(name), metrics, self.start)
        inputs = [*self.data.split_nodes(name, "validation", "test"), self.data.preprocessor]
        title = title_of(self.recipe, name, "baselines")
        return self._node(title, "baselines", settings, [task, self.recipe.model, *metrics], inputs, work)

    def _export(
        self,
        name: str,
        task: Task,
        exporter: Exporter,
        evaluations: Mapping[str, Sequence[Node]],
        chains: Sequence[Sequence[Node]],
    ) -> Node:
        metrics = task_metrics(task, self.metrics)
        repairs = [cleaner for cleaner in self.recipe.prepare.clean if not isinstance(cleaner, RowFilter)]
        self._need_distributions(exporter, [task, *repairs])
        assert self.best is not None  # a task has metrics
        deciding = evaluations[self.best.task]
        settings = {
            "exporter": exporter.identity(),
            "name": self.recipe.name,
            "task": [name, task.identity()],
            "best": [self.best.task, self.best.metric.identity()],
            "metrics": [metric.identity() for metric in metrics],
        }
        work = partial(
            export_step,
            self.recipe,
            self.data.place(name),
            exporter,
            metrics,
            self.best.metric,
            [node.name for node in deciding],
            [node.name for node in evaluations[name]],
            [chain[-1].name for chain in chains],
        )
        components: list[Component] = [exporter, self.recipe.model, task, *metrics, *repairs]
        read = [*evaluations[name], *deciding, *(chain[-1] for chain in chains)]
        inputs = [
            *{node.name: node for node in read}.values(), self.data.preprocessor, *self.data.split_nodes(name, "validation"),
        ]  # fmt: skip
        title = f"export {title_of(self.recipe, name, exporter.title)}"
        return self._node(title, "export", settings, components, inputs, work)

    def _need_distributions(self, exporter: Exporter, components: Sequence[Component]) -> None:
        """Refuse before anything is trained what an export would refuse after it."""
        for component in components if exporter.needs_distributions else []:
            plugin = self.registry.plugin_of(type(component))
            if plugin.distribution == FILE:
                raise PluginError(
                    f"export {exporter.type_name()}: {component.kind} {component.type_name()!r} comes from the loose file "
                    f"{plugin.source}; its code must run wherever the bundle does, so make it an installable package"
                )


def stage_identity(stage: Stage) -> dict[str, Any]:
    """What a stage's own settings contribute to its key: all that changes its result."""
    return {
        "stage": stage.stage,
        "objectives": [
            {k: v for k, v in objective.identity().items() if k != "data"} | {"head": head_name(objective)}
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
    }
