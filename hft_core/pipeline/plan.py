"""Builds the plan of a recipe: which nodes, from which inputs, under which keys. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hft_core.components import Component, Exporter, Metric, RowFilter
from hft_core.errors import PluginError
from hft_core.pipeline.nodes import Node, make_node
from hft_core.pipeline.steps.evidence import baselines_step, evaluate_step
from hft_core.pipeline.steps.export import export_step
from hft_core.pipeline.steps.prepare import (
    augment_step,
    encode_step,
    prepare_task_step,
    prepare_text_step,
    preprocessor_step,
)
from hft_core.pipeline.steps.stage import StageStep, head_name
from hft_core.recipe.check import source_names, stage_name
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.metrics import best_metric, resolve_metrics, task_metrics, text_metrics
from hft_core.recipe.model import SPLITS, Recipe, Stage
from hft_core.registry import Registry
from hft_core.registry.registry import FILE
from hft_core.store.hashing import digest_path
from hft_core.training.precision import resolve


@dataclass(frozen=True)
class Plan:
    """All nodes in an order that can be carried out, and those a run looks up by role."""

    nodes: Sequence[Node]
    prepare: Node | None
    augment: Node | None
    texts: Mapping[str, Node]
    encodes: Sequence[Node]
    stages: Sequence[Sequence[Node]]
    """Per seed, the stages in order; pretrain stages are shared."""
    evaluations: Sequence[Node]
    baselines: Node | None
    exports: Sequence[Node]
    precision: str
    metrics: Sequence[Metric]


def build_plan(loaded: LoadedRecipe, registry: Registry) -> Plan:
    """Make the plan. Locates the model (fetching a hub model), reads and hashes the input files."""
    return _Builder(loaded.recipe, registry, loaded.folder).plan()


class _Builder:
    def __init__(self, recipe: Recipe, registry: Registry, folder: Path):
        self.recipe, self.registry = recipe, registry
        self.metrics = resolve_metrics(recipe, registry)
        self.start = recipe.model.locate()
        self.model_settings = {
            "model": recipe.model.identity(),
            "start": digest_path(self.start) if self.start else None,
        }
        self.precision = resolve(recipe.precision)

    def plan(self) -> Plan:
        recipe = self.recipe
        prepare = self._prepare() if recipe.task else None
        augment = self._augment(prepare) if prepare and recipe.prepare.augment else None
        texts = {name: self._text(name) for name in self._text_sources()}
        data = {"train": prepare, **texts} if prepare else dict(texts)
        preprocessor = self._preprocessor([node for node in data.values() if node])
        encodes = [
            [
                self._encode(stage, index, position, data, augment, preprocessor)
                for position in range(len(stage.objectives))
            ]
            for index, stage in enumerate(recipe.stages)
        ]
        chains = [self._chain(seed, encodes, preprocessor, prepare) for seed in range(recipe.evaluate.seeds)]
        evaluations: list[Node] = []
        exports: list[Node] = []
        baselines = None
        if prepare is not None and recipe.task is not None and any(s.stage == "finetune" for s in recipe.stages):
            evaluations = [self._evaluate(seed, chain[-1], preprocessor, prepare) for seed, chain in enumerate(chains)]
            if recipe.task.classes:
                baselines = self._baselines(prepare, preprocessor)
            exports = [self._export(i, evaluations, chains, preprocessor, prepare) for i in range(len(recipe.export))]
        flat = [*encodes_of(encodes), *(node for chain in chains for node in chain)]
        ordered = [prepare, augment, *texts.values(), preprocessor, *flat, *evaluations, baselines, *exports]
        unique = {node.name: node for node in ordered if node is not None}
        return Plan(
            list(unique.values()), prepare, augment, texts, encodes_of(encodes), chains, evaluations, baselines, exports,
            self.precision, self.metrics,
        )  # fmt: skip

    def _node(
        self, name: str, kind: str, settings: Mapping[str, Any], components: Sequence[Component], inputs: Sequence[Node],
        work: Any, **details: Any,
    ) -> Node:  # fmt: skip
        return make_node(name, kind, self.registry, settings, components, inputs, work, details)

    def _prepare(self) -> Node:
        recipe = self.recipe
        assert recipe.task is not None
        sources = {name: recipe.data.sources[name] for name in SPLITS if name in recipe.data.sources}
        components: list[Component] = [recipe.task, *sources.values(), *recipe.prepare.clean]
        settings = {
            "task": recipe.task.identity(),
            "sources": {name: reader.identity() for name, reader in sources.items()},
            "split": recipe.data.split.model_dump() if recipe.data.split else None,
            "clean": [cleaner.identity() for cleaner in recipe.prepare.clean],
        }
        work = partial(prepare_task_step, recipe, sources)
        return self._node("prepare", "prepare", settings, components, [], work, sources=list(sources))

    def _augment(self, prepare: Node) -> Node:
        recipe = self.recipe
        settings = {
            "augment": [augmenter.identity() for augmenter in recipe.prepare.augment],
            "seed": recipe.seed,
        }
        return self._node(
            "augment", "augment", settings, recipe.prepare.augment, [prepare], partial(augment_step, recipe)
        )

    def _text_sources(self) -> list[str]:
        """Sources of unlabelled text that a stage reads."""
        wanted: list[str] = []
        for stage in self.recipe.stages:
            for objective in stage.objectives:
                wanted += source_names(objective)
        own = set(SPLITS) if self.recipe.task else set()
        return [name for name in dict.fromkeys(wanted) if name not in own]

    def _text(self, name: str) -> Node:
        recipe = self.recipe
        reader = recipe.data.sources[name]
        settings = {"source": reader.identity(), "clean": [cleaner.identity() for cleaner in recipe.prepare.clean]}
        work = partial(prepare_text_step, recipe, reader, name)
        return self._node(f"prepare {name}", "prepare", settings, [reader, *recipe.prepare.clean], [], work)

    def _preprocessor(self, data: Sequence[Node]) -> Node:
        model = self.recipe.model
        inputs = data if model.learns_preprocessor() else []
        work = partial(preprocessor_step, model, self.start)
        return self._node("preprocessor", "preprocessor", self.model_settings, [model], inputs, work)

    def _encode(
        self,
        stage: Stage,
        index: int,
        position: int,
        data: Mapping[str, Node | None],
        augment: Node | None,
        preprocessor: Node,
    ) -> Node:
        objective = stage.objectives[position]
        names = source_names(objective)
        inputs = [node for name in names if (node := data[name])]
        if augment and objective.needs_task:  # a language model has seen the variants' text already
            inputs.append(augment)
        settings = {key: value for key, value in objective.identity().items() if key not in ("weight", "data", "task")}
        settings["sources"] = [self._source_in(name) for name in names]
        components: list[Component] = [objective, *([self.recipe.task] if self.recipe.task else []), self.recipe.model]
        name = f"encode {stage_name(stage, index)}.{objective.name or objective.type_name()}"
        work = partial(encode_step, self.recipe, objective, names)
        return self._node(name, "encode", settings, components, [*inputs, preprocessor], work, sources=names)

    def _source_in(self, name: str) -> str:
        """Which file of its node a source is: a split of the task, or the one text."""
        return name if self.recipe.task and name in SPLITS else "text"

    def _chain(
        self, seed: int, encodes: Sequence[Sequence[Node]], preprocessor: Node, prepare: Node | None
    ) -> list[Node]:
        """The stages of one seed; pretrain stages before the first finetune stage keep the recipe's seed."""
        chain: list[Node] = []
        stages = self.recipe.stages
        tuned = False
        for index, stage in enumerate(stages):
            finetune = stage.stage == "finetune"
            tuned = tuned or finetune
            own_seed = self.recipe.seed + (seed if tuned else 0)
            before = chain[-1:]
            metrics = list(self.metrics) if finetune else text_metrics(stage, self.metrics)
            best = best_metric(self.recipe, self.metrics)  # the others are measured, but change nothing
            # Pre-training on text that the task's rows are no part of does not depend on them.
            of_task = [prepare] if prepare and tuned else []
            settings = {
                **(self.model_settings if not before else {"model": self.recipe.model.identity()}),
                "stage": stage_identity(stage),
                "carried": [head_name(objective) for other in stages[:index] for objective in other.objectives],
                "seed": own_seed,
                "precision": self.precision,
                "best": best.identity() if finetune and best else None,
            }
            components: list[Component] = [
                self.recipe.model, *stage.objectives, stage.optimizer, stage.schedule, *stage.techniques, *metrics,
                *([self.recipe.task] if self.recipe.task and tuned else []),
            ]  # fmt: skip
            work = StageStep(
                self.recipe, stage, stages[:index], own_seed, self.precision, metrics, self.start,
                before[0].name if before else None, [node.name for node in encodes[index]],
            )  # fmt: skip
            suffix = f" (seed {own_seed})" if self.recipe.evaluate.seeds > 1 and tuned else ""
            name = f"stage {stage_name(stage, index)}{suffix}"
            inputs = [*before, *encodes[index], preprocessor, *of_task]
            chain.append(self._node(name, "stage", settings, components, inputs, work, precision=self.precision))
        return chain

    def _evaluate(self, seed: int, stage: Node, preprocessor: Node, prepare: Node) -> Node:
        task = self.recipe.task
        assert task is not None
        metrics = task_metrics(self.recipe, self.metrics)
        settings = {
            "metrics": [metric.identity() for metric in metrics],
            "model": self.recipe.model.identity(),
            "task": task.identity(),
        }
        work = partial(evaluate_step, self.recipe, metrics, stage.name)
        suffix = f" (seed {self.recipe.seed + seed})" if self.recipe.evaluate.seeds > 1 else ""
        components: list[Component] = [task, self.recipe.model, *metrics]
        return self._node(f"evaluate{suffix}", "evaluate", settings, components, [stage, preprocessor, prepare], work)

    def _baselines(self, prepare: Node, preprocessor: Node) -> Node:
        task = self.recipe.task
        assert task is not None
        metrics = task_metrics(self.recipe, self.metrics)
        settings = {
            **self.model_settings,
            "metrics": [metric.identity() for metric in metrics],
            "seed": self.recipe.seed,
        }
        work = partial(baselines_step, self.recipe, metrics, self.start)
        components: list[Component] = [task, self.recipe.model, *metrics]
        return self._node("baselines", "baselines", settings, components, [prepare, preprocessor], work)

    def _export(
        self,
        index: int,
        evaluations: Sequence[Node],
        chains: Sequence[Sequence[Node]],
        preprocessor: Node,
        prepare: Node,
    ) -> Node:
        recipe = self.recipe
        exporter = recipe.export[index]
        metrics = task_metrics(recipe, self.metrics)
        repairs = [cleaner for cleaner in recipe.prepare.clean if not isinstance(cleaner, RowFilter)]
        self._need_distributions(exporter, [*([recipe.task] if recipe.task else []), *repairs])
        finals = [chain[-1] for chain in chains]
        best = best_metric(recipe, self.metrics)
        settings = {
            "exporter": exporter.identity(),
            "name": recipe.name,
            "best": best.identity() if best else None,
            "metrics": [metric.identity() for metric in metrics],
        }
        work = partial(
            export_step,
            recipe,
            exporter,
            metrics,
            [node.name for node in evaluations],
            [node.name for node in finals],
        )
        assert recipe.task is not None
        components: list[Component] = [exporter, recipe.model, recipe.task, *metrics, *repairs]
        inputs = [*evaluations, *finals, preprocessor, prepare]
        return self._node(
            f"export {exporter.name or exporter.type_name()}", "export", settings, components, inputs, work
        )

    def _need_distributions(self, exporter: Exporter, components: Sequence[Component]) -> None:
        """Refuse before anything is trained what an export would refuse after it."""
        for component in components if exporter.needs_distributions else []:
            plugin = self.registry.plugin_of(type(component))
            if plugin.distribution == FILE:
                raise PluginError(
                    f"export {exporter.type_name()}: {component.kind} {component.type_name()!r} comes from the loose file "
                    f"{plugin.source}; its code must run wherever the bundle does, so make it an installable package"
                )


def encodes_of(encodes: Sequence[Sequence[Node]]) -> list[Node]:
    """All encode nodes in one list."""
    return [node for nodes in encodes for node in nodes]


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
