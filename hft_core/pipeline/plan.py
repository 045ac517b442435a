"""Builds the plan of a recipe: which nodes, from which inputs, under which keys. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from hft_core.components import Component, Exporter, Metric, RowFilter, Task
from hft_core.errors import PluginError
from hft_core.pipeline.divergence import spared
from hft_core.pipeline.nodes import Node, make_node, with_inputs
from hft_core.pipeline.plan_data import DataNodes
from hft_core.pipeline.plan_evidence import baselines_node, before_node, diagnosis_node
from hft_core.pipeline.plan_stages import StageNodes, evaluation_node
from hft_core.pipeline.steps.export import export_step
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import task_metrics
from hft_core.recipe.model import Recipe
from hft_core.recipe.parts import plain_recipe
from hft_core.recipe.sources import title_of, trained_tasks
from hft_core.registry import Registry
from hft_core.registry.record import used_plugins
from hft_core.registry.registry import FILE


@dataclass(frozen=True)
class TaskPlan:
    """The nodes of one task."""

    splits: Mapping[str, Node]
    """The node that holds each split: its own, or that of train."""
    augment: Node | None
    checks: Node | None
    """The comparison of the splits; None for an arm, of which others have made it."""
    before: Node | None
    """Figures of the model that the recipe starts from, where that is an earlier run with this task."""
    baselines: Node | None
    plain: Sequence[Node]
    """Evaluations, one per seed, of plain fine-tuning; empty where the recipe is nothing else."""
    evaluations: Sequence[Node]
    """One per seed."""
    exports: Sequence[Node]
    """One per exporter of the recipe that takes each task for itself."""
    diagnosis: Node | None
    """What a diagnosis needs beside curves and figures, where the task is trained."""

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
    joined: Sequence[Node] = ()
    """One per exporter of the recipe that takes all tasks together."""
    sliced: Node | None = None
    """The columns by which the report divides the rows of the task that decides, where the recipe names some."""
    spared: frozenset[str] = frozenset()
    """Keys of plain fine-tuning's own nodes: where it diverges, that is reported, and the run goes on."""

    @property
    def exports(self) -> list[Node]:
        """All exports."""
        return [*(node for task in self.tasks.values() for node in task.exports), *self.joined]


def build_plan(loaded: LoadedRecipe, registry: Registry) -> Plan:
    """Make the plan. Locates the model (fetching a hub model), reads and hashes the input files."""
    return _Builder(loaded.recipe, registry).plan()


class _Builder:
    def __init__(self, recipe: Recipe, registry: Registry):
        self.recipe, self.registry = recipe, registry
        self.start = recipe.model.locate()
        self.data = DataNodes(recipe, registry, self.start)
        self.stages = StageNodes(recipe, registry, self.data)
        self.metrics, self.best = self.stages.metrics, self.stages.best
        self._node = partial(make_node, registry)

    def plan(self) -> Plan:
        recipe, data = self.recipe, self.data
        chains = [self.stages.chain(seed) for seed in range(recipe.evaluate.seeds)]
        measured = self.stages.known(range(len(recipe.stages)))
        evaluations = {
            name: [evaluation_node(self.stages, name, seed, chain[-1]) for seed, chain in enumerate(chains)]
            for name in measured
        }
        apart = [exporter for exporter in recipe.export if len(measured) < 2 or not exporter.joins]
        joined = [
            self._export(list(measured), exporter, evaluations, chains)
            for exporter in recipe.export
            if exporter not in apart
        ]
        tasks = {}
        for name, task in recipe.all_tasks.items():
            exports = [self._export([name], exporter, evaluations, chains) for exporter in apart if name in measured]
            tasks[name] = TaskPlan(
                splits=data.splits[name],
                augment=data.augments.get(name),
                checks=data.checks[name],
                before=before_node(self.stages, name) if name in self.stages.brought or self._brings(task) else None,
                baselines=baselines_node(self.stages, name) if task.target_form and name in measured else None,
                plain=[],
                evaluations=evaluations.get(name, []),
                exports=exports,
                diagnosis=diagnosis_node(self.stages, name, chains, evaluations.get(name, [])),
            )
        encodes = [node for nodes in data.encodes for node in nodes]
        sliced = data.sliced(self.best.task) if self.best and evaluations.get(self.best.task) else None
        nodes = self._ordered(tasks, encodes, chains, joined, sliced)
        if plain := self._plain():
            tasks = {name: replace(task, plain=plain.get(name, [])) for name, task in tasks.items()}
            beside = _beside(nodes, [node for measured in plain.values() for node in measured])
        else:
            beside = []
        return Plan(
            [*nodes, *beside], tasks, data.texts, encodes, chains, self.stages.precision, self.metrics, joined,
            sliced, spared(beside),
        )  # fmt: skip

    def _plain(self) -> dict[str, list[Node]]:
        """The evaluations of plain fine-tuning, one per seed, by task; nothing where the recipe is that itself."""
        recipe = plain_recipe(self.recipe) if self.recipe.evaluate.plain else None
        if recipe is None:
            return {}
        stages = StageNodes(recipe, self.registry, DataNodes(recipe, self.registry, self.start))
        lasts = [stages.chain(seed)[-1] for seed in range(recipe.evaluate.seeds)]
        return {
            name: [_titled(evaluation_node(stages, name, seed, last)) for seed, last in enumerate(lasts)]
            for name in trained_tasks(recipe, range(len(recipe.stages)))
        }

    def _ordered(
        self,
        tasks: Mapping[str, TaskPlan],
        encodes: Sequence[Node],
        chains: Sequence[Sequence[Node]],
        joined: Sequence[Node],
        sliced: Node | None,
    ) -> list[Node]:
        """Each node once, behind all that it reads; quick ones first, so that what is wrong with the data shows early."""
        of_tasks = list(tasks.values())
        rows = [node for task in of_tasks for node in (*task.splits.values(), task.augment)]
        figures = [node for task in of_tasks for node in (*task.evaluations, task.baselines, task.diagnosis)]
        ordered = [
            *rows, sliced, *self.data.texts.values(), *(task.checks for task in of_tasks), self.data.preprocessor,
            *(task.before for task in of_tasks), *encodes, *self.stages.trial(chains[0]),
            *(node for chain in chains for node in chain), *figures, *(n for task in of_tasks for n in task.exports),
            *joined,
        ]  # fmt: skip
        found: dict[str, Node] = {}

        def add(node: Node) -> None:
            for item in node.inputs:  # an augmenter may read the preprocessor, which reads all text
                add(item)
            found.setdefault(node.name, node)

        for node in ordered:
            if node is not None:
                add(node)
        return list(found.values())

    # ---- evidence and export ----

    def _brings(self, task: Task) -> bool:
        """Whether what the model starts from has the task's head without ever having been trained for it."""
        return self.start is not None and task.head_type in self.recipe.model.brings

    def _export(
        self,
        names: Sequence[str],
        exporter: Exporter,
        evaluations: Mapping[str, Sequence[Node]],
        chains: Sequence[Sequence[Node]],
    ) -> Node:
        """The export of one task, or of several together."""
        tasks = {name: self.recipe.all_tasks[name] for name in names}
        metrics = {name: task_metrics(task, self.metrics) for name, task in tasks.items()}
        repairs = [cleaner for cleaner in self.recipe.prepare.clean if not isinstance(cleaner, RowFilter)]
        self._need_distributions(exporter, [*tasks.values(), *repairs])
        self._need_graphs(exporter)
        self._need_no_refusal(exporter, tasks)
        assert self.best is not None  # a task has metrics
        deciding = evaluations[self.best.task]
        settings = {
            "exporter": exporter.identity(),
            "name": self.recipe.name,
            "tasks": [[name, task.identity(), [m.identity() for m in metrics[name]]] for name, task in tasks.items()],
            "best": [self.best.task, self.best.metric.identity()],
            "texts": self.recipe.report.texts,
        }
        work = partial(
            export_step,
            self.recipe,
            [self.data.place(name) for name in names],
            exporter,
            metrics,
            self.best.metric,
            [node.name for node in deciding],
            {name: [node.name for node in evaluations[name]] for name in names},
            [chain[-1].name for chain in chains],
            used_plugins(self.registry, self.recipe),
        )
        used = [metric for found in metrics.values() for metric in found]
        components: list[Component] = [exporter, self.recipe.model, *tasks.values(), *used, *repairs]
        read = [node for name in names for node in evaluations[name]]
        read += [*deciding, *(chain[-1] for chain in chains)]
        rows = [node for name in names for node in self.data.split_nodes(name, "validation")]
        inputs = {node.name: node for node in (*read, self.data.preprocessor, *rows)}
        title = exporter.title if len(names) > 1 else title_of(self.recipe, names[0], exporter.title)
        return self._node(f"export {title}", "export", settings, components, list(inputs.values()), work)

    def _need_distributions(self, exporter: Exporter, components: Sequence[Component]) -> None:
        """Refuse before anything is trained what an export would refuse after it."""
        for component in components if exporter.needs_distributions else []:
            plugin = self.registry.plugin_of(type(component))
            if plugin.distribution == FILE:
                raise PluginError(
                    f"export {exporter.type_name()}: {component.kind} {component.type_name()!r} comes from the loose file "
                    f"{plugin.source}; its code must run wherever the bundle does, so make it an installable package"
                )

    def _need_graphs(self, exporter: Exporter) -> None:
        """The same for a model of which there are no graphs."""
        if exporter.needs_graphs and (reason := self.recipe.model.unexportable(self.start)):
            raise PluginError(f"export {exporter.type_name()}: {reason}")

    def _need_no_refusal(self, exporter: Exporter, tasks: Mapping[str, Task]) -> None:
        """The same for what an exporter itself says."""
        for task in tasks.values():
            if reason := exporter.refusal(task):
                raise PluginError(f"export {exporter.type_name()}: {reason}")


def _titled(node: Node) -> Node:
    """A node of plain fine-tuning, under a name of its own."""
    return replace(node, name=f"plain: {node.name}")


def _beside(nodes: Sequence[Node], more: Sequence[Node]) -> list[Node]:
    """What `more` needs beside `nodes`, in order."""
    known = {node.key for node in nodes}
    return [node if node in more else _titled(node) for node in with_inputs(more) if node.key not in known]
