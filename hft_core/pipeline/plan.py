"""Builds the plan of a recipe: which nodes, from which inputs, under which keys. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hft_core.components import Component, Exporter, Metric, RowFilter, Task
from hft_core.data.prepare import shares_of
from hft_core.errors import PluginError
from hft_core.pipeline.nodes import Node, make_node
from hft_core.pipeline.steps.common import TaskPlace
from hft_core.pipeline.steps.evidence import baselines_step, evaluate_step
from hft_core.pipeline.steps.export import export_step
from hft_core.pipeline.steps.prepare import (
    augment_step,
    checks_step,
    encode_step,
    prepare_held_out_step,
    prepare_text_step,
    prepare_train_step,
    preprocessor_step,
)
from hft_core.pipeline.steps.stage import StageStep
from hft_core.recipe.check import stage_name
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import Best, best_metric, deciding_metrics, resolve_metrics, task_metrics, text_metrics
from hft_core.recipe.model import Recipe, Stage
from hft_core.recipe.sources import (
    head_name,
    readers_of,
    sources_of,
    split_of,
    text_sources,
    title_of,
    trained_tasks,
)
from hft_core.registry import Registry
from hft_core.registry.registry import FILE
from hft_core.store.hashing import digest_path
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
        self.model_settings = {
            "model": recipe.model.identity(),
            "start": digest_path(self.start) if self.start else None,
        }
        self.precision = resolve(recipe.precision)

    def plan(self) -> Plan:
        recipe = self.recipe
        self.splits = {name: self._splits(name, task) for name, task in recipe.all_tasks.items()}
        self.augments = {
            name: self._augment(name, task) for name, task in recipe.all_tasks.items() if recipe.prepare.augment
        }
        self.texts = {name: self._text(name) for name in text_sources(recipe)}
        self.preprocessor = self._preprocessor()
        encodes = [[self._encode(i, p) for p in range(len(stage.objectives))] for i, stage in enumerate(recipe.stages)]
        chains = [self._chain(seed, encodes) for seed in range(recipe.evaluate.seeds)]
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
                splits=self.splits[name],
                augment=self.augments.get(name),
                checks=self._checks(name),
                baselines=self._baselines(name, task) if task.classes and name in trained else None,
                evaluations=evaluations.get(name, []),
                exports=exports,
            )
        flat_encodes = [node for nodes in encodes for node in nodes]
        return Plan(
            self._ordered(tasks, flat_encodes, chains), tasks, self.texts, flat_encodes, chains, self.precision,
            self.metrics,
        )  # fmt: skip

    def _ordered(
        self, tasks: Mapping[str, TaskPlan], encodes: Sequence[Node], chains: Sequence[Sequence[Node]]
    ) -> list[Node]:
        """Each node once, behind all that it reads; quick ones first, so that what is wrong with the data shows early."""
        of_tasks = list(tasks.values())
        data = [node for task in of_tasks for node in (*task.splits.values(), task.augment)]
        figures = [node for task in of_tasks for node in (*task.evaluations, task.baselines)]
        ordered = [
            *data, *self.texts.values(), *(task.checks for task in of_tasks), self.preprocessor, *encodes,
            *(node for chain in chains for node in chain), *figures, *(n for task in of_tasks for n in task.exports),
        ]  # fmt: skip
        return list({node.name: node for node in ordered if node is not None}.values())

    def _node(
        self, name: str, kind: str, settings: Mapping[str, Any], components: Sequence[Component], inputs: Sequence[Node],
        work: Any, **details: Any,
    ) -> Node:  # fmt: skip
        return make_node(name, kind, self.registry, settings, components, inputs, work, details)

    # ---- data ----

    def _splits(self, name: str, task: Task) -> dict[str, Node]:
        """The nodes of a task's splits; a split without a source of its own lies in the node of train."""
        readers = readers_of(self.recipe, name)
        shares = shares_of(split_of(self.recipe, name), list(readers))
        clean = self.recipe.prepare.clean
        settings = {"task": task.identity(), "clean": [cleaner.identity() for cleaner in clean]}
        nodes: dict[str, Node] = {}
        for split, reader in readers.items():
            own = settings | {"split": split, "source": reader.identity()}
            if split == "train":
                own |= {"shares": shares}
                work: Any = partial(prepare_train_step, task, reader, shares, clean)
            else:
                work = partial(prepare_held_out_step, task, reader, split, clean, nodes["train"].name)
            title = f"prepare {title_of(self.recipe, name, split)}"
            before = [nodes["train"]] if nodes else []
            nodes[split] = self._node(title, "prepare", own, [task, reader, *clean], before, work)
        return {**dict.fromkeys(("train", *shares), nodes["train"]), **nodes}

    def _place(self, name: str) -> TaskPlace:
        return TaskPlace(name, {split: node.name for split, node in self.splits[name].items()})

    def _split_nodes(self, name: str, *splits: str) -> list[Node]:
        """The nodes with these splits of a task, each once; train, which holds its facts, comes first."""
        nodes = self.splits[name]
        found = [nodes[split] for split in ("train", *splits) if split in nodes]
        return list({node.name: node for node in found}.values())

    def _checks(self, name: str) -> Node:
        """The comparison of a task's splits with each other, and with all unlabelled text."""
        inputs = [*self._split_nodes(name, "validation", "test"), *self.texts.values()]
        texts = {text: node.name for text, node in self.texts.items()}
        work = partial(checks_step, self._place(name), texts)
        return self._node(title_of(self.recipe, name, "checks"), "checks", {"texts": list(texts)}, [], inputs, work)

    def _augment(self, name: str, task: Task) -> Node:
        augmenters = self.recipe.prepare.augment
        settings = {"augment": [augmenter.identity() for augmenter in augmenters], "seed": self.recipe.seed}
        work = partial(augment_step, self._place(name), augmenters, self.recipe.seed)
        title = title_of(self.recipe, name, "augment")
        return self._node(title, "augment", settings, augmenters, self._split_nodes(name), work)

    def _text(self, name: str) -> Node:
        reader, clean = self.recipe.data.sources[name], self.recipe.prepare.clean
        settings = {"source": reader.identity(), "clean": [cleaner.identity() for cleaner in clean]}
        work = partial(prepare_text_step, reader, name, clean)
        return self._node(f"prepare {name}", "prepare", settings, [reader, *clean], [], work)

    def _preprocessor(self) -> Node:
        model = self.recipe.model
        trains = [splits["train"] for splits in self.splits.values()]
        inputs = [*trains, *self.texts.values()] if model.learns_preprocessor() else []
        work = partial(preprocessor_step, model, self.start)
        return self._node("preprocessor", "preprocessor", self.model_settings, [model], inputs, work)

    def _encode(self, index: int, position: int) -> Node:
        stage = self.recipe.stages[index]
        objective = stage.objectives[position]
        sources = sources_of(self.recipe, objective)
        inputs = {}
        for source in sources:
            node = self.texts[source.name] if source.task is None else self.splits[source.task]["train"]
            inputs[node.name] = node
        # A language model has seen the variants' text already.
        augment = self.augments.get(objective.task) if objective.task else None
        if augment:
            inputs[augment.name] = augment
        settings = {key: value for key, value in objective.identity().items() if key not in ("weight", "data", "task")}
        settings["sources"] = [source.name if source.task else "text" for source in sources]
        tasks = {source.task: self.recipe.all_tasks[source.task] for source in sources if source.task}
        components: list[Component] = [objective, *tasks.values(), self.recipe.model]
        name = f"encode {stage_name(stage, index)}.{objective.name or objective.type_name()}"
        work = partial(
            encode_step, self.recipe, objective, sources, {n: self._place(n) for n in tasks if n},
            augment.name if augment else None,
        )  # fmt: skip
        titles = [source.title for source in sources]
        return self._node(
            name, "encode", settings, components, [*inputs.values(), self.preprocessor], work, sources=titles
        )

    # ---- training ----

    def _chain(self, seed: int, encodes: Sequence[Sequence[Node]]) -> list[Node]:
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
                **(self.model_settings if not before else {"model": self.recipe.model.identity()}),
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
                *(self.metrics if finetune else text_metrics(stage, self.metrics)),
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
                encodes=[node.name for node in encodes[index]],
                tasks=[self._place(name) for name in known],
            )
            suffix = f" (seed {own_seed})" if self.recipe.evaluate.seeds > 1 and tuned else ""
            name = f"stage {stage_name(stage, index)}{suffix}"
            inputs = [*before, *encodes[index], self.preprocessor, *of_tasks]
            chain.append(self._node(name, "stage", settings, components, inputs, work, precision=self.precision))
        return chain

    def _best_of(self, stage: Stage) -> Best | None:
        """What chooses a stage's best epoch: the recipe's figure, or the first one of the task that the stage trains first."""
        served = [objective.task for objective in stage.objectives if objective.task]
        if self.best is None or self.best.task in served:
            return self.best
        own = self.recipe.model_copy(update={"evaluate": self.recipe.evaluate.model_copy(update={"best": None})})
        found = [best for best in deciding_metrics(own, self.metrics) if best.task == served[0]]
        return found[0] if found else None

    def _rows_of(self, index: int) -> list[Node]:
        """The prepared rows that a stage reads: facts of every task whose head it has, validation of those it trains.

        Pre-training on text that no task's rows are part of does not depend on them.
        """
        served = trained_tasks(self.recipe, [index])
        nodes = [
            node
            for name in trained_tasks(self.recipe, range(index + 1))
            for node in self._split_nodes(name, *(["validation"] if name in served else []))
        ]
        return list({node.name: node for node in nodes}.values())

    # ---- evidence and export ----

    def _evaluate(self, name: str, task: Task, seed: int, stage: Node) -> Node:
        metrics = task_metrics(task, self.metrics)
        settings = {
            "metrics": [metric.identity() for metric in metrics],
            "model": self.recipe.model.identity(),
            "task": [name, task.identity()],
        }
        work = partial(evaluate_step, self.recipe, self._place(name), metrics, stage.name)
        suffix = f" (seed {self.recipe.seed + seed})" if self.recipe.evaluate.seeds > 1 else ""
        inputs = [stage, self.preprocessor, *self._split_nodes(name, "validation", "test")]
        title = f"{title_of(self.recipe, name, 'evaluate')}{suffix}"
        return self._node(title, "evaluate", settings, [task, self.recipe.model, *metrics], inputs, work)

    def _baselines(self, name: str, task: Task) -> Node:
        metrics = task_metrics(task, self.metrics)
        settings = {
            **self.model_settings,
            "task": task.identity(),
            "metrics": [metric.identity() for metric in metrics],
            "seed": self.recipe.seed,
        }
        work = partial(baselines_step, self.recipe, self._place(name), metrics, self.start)
        inputs = [*self._split_nodes(name, "validation", "test"), self.preprocessor]
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
            self._place(name),
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
            *{node.name: node for node in read}.values(), self.preprocessor, *self._split_nodes(name, "validation"),
        ]  # fmt: skip
        title = f"export {title_of(self.recipe, name, exporter.name or exporter.type_name())}"
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
        "techniques": [technique.identity() for technique in stage.techniques],
        "clip": stage.clip,
    }
