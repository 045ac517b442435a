"""The nodes of a plan that make data: rows, comparisons, variants, preprocessor, encoded arrays."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hft_core.components import Component, Reader, Task
from hft_core.data.folds import Fold
from hft_core.data.prepare import shares_of
from hft_core.pipeline.nodes import Node, make_node
from hft_core.pipeline.steps.augment import augment_step
from hft_core.pipeline.steps.common import TaskPlace
from hft_core.pipeline.steps.prepare import (
    checks_step,
    encode_step,
    prepare_held_out_step,
    prepare_text_step,
    prepare_train_step,
    preprocessor_step,
)
from hft_core.pipeline.steps.slices import slices_step
from hft_core.recipe.check import stage_name
from hft_core.recipe.model import Recipe
from hft_core.recipe.sources import readers_of, sources_of, split_of, text_sources, title_of
from hft_core.registry import Registry


class DataNodes:
    """The data nodes of a recipe; `place` and `split_nodes` are how others refer to a task's rows.

    A task in `folds` has the held-out fold as its validation, and no test.
    """

    def __init__(self, recipe: Recipe, registry: Registry, start: Path | None, folds: Mapping[str, Fold] | None = None):
        self.recipe = recipe
        self.start = start
        self.folds = folds or {}
        self.model_settings = {"model": recipe.model.identity()}
        self._node = partial(make_node, registry)
        self.splits = {name: self._splits(name, task) for name, task in recipe.all_tasks.items()}
        self.texts = {name: self._text(name) for name in text_sources(recipe)}
        self.checks = {name: self._checks(name) for name in recipe.all_tasks if name not in self.folds}
        self.preprocessor = self._preprocessor()
        self.augments = {name: self._augment(name) for name in recipe.all_tasks if recipe.prepare.augment}
        self.encodes = [
            [self._encode(index, position) for position in range(len(stage.objectives))]
            for index, stage in enumerate(recipe.stages)
        ]

    def _splits(self, name: str, task: Task) -> dict[str, Node]:
        """The nodes of a task's splits; a split without a source of its own lies in the node of train."""
        readers = readers_of(self.recipe, name)
        shares = shares_of(split_of(self.recipe, name), list(readers))
        if fold := self.folds.get(name):
            return self._fold(name, task, readers, shares, fold)
        clean = self.recipe.prepare.clean
        settings: dict[str, Any] = {"task": task.identity(), "clean": [cleaner.identity() for cleaner in clean]}
        nodes: dict[str, Node] = {}
        for split, reader in readers.items():
            own = settings | {"split": split, "source": reader.identity()}
            if split == "train":
                drops = self.recipe.prepare.leakage == "drop-from-train"
                kept_out = {other: source for other, source in readers.items() if other != "train" and drops}
                own |= {"shares": shares, "kept_out": {name: source.identity() for name, source in kept_out.items()}}
                work: Any = partial(prepare_train_step, task, reader, shares, clean, kept_out, None, None)
            else:
                work = partial(prepare_held_out_step, task, reader, split, clean, nodes["train"].name)
            title = f"prepare {title_of(self.recipe, name, split)}"
            before = [nodes["train"]] if nodes else []
            read = list(kept_out.values()) if split == "train" else []
            nodes[split] = self._node(title, "prepare", own, [task, reader, *read, *clean], before, work)
        return {**dict.fromkeys(("train", *shares), nodes["train"]), **nodes}

    def sliced(self, name: str) -> Node | None:
        """The node with the columns by which the report divides a task's test rows, or its validation rows.

        It is one of its own, so that nothing is trained again for another column.
        """
        columns, task, readers = self.recipe.evaluate.slices, self.recipe.all_tasks[name], readers_of(self.recipe, name)
        if not columns:
            return None
        split = "test" if "test" in self.splits[name] else "validation"
        source = split if split in readers else "train"  # rows that were split off stand there
        reader = readers[source]
        settings = {"task": task.identity(), "source": reader.identity(), "split": split, "columns": columns}
        work = partial(slices_step, self.place(name), task, reader, source, split, columns)
        title = f"slices {title_of(self.recipe, name, split)}"
        return self._node(title, "slices", settings, [task, reader], self.split_nodes(name, split), work)

    def _fold(
        self, name: str, task: Task, readers: Mapping[str, Reader], shares: dict[str, float], fold: Fold
    ) -> dict[str, Node]:
        """The node of a fold: all but it is train, it is validation."""
        clean, train, validation = self.recipe.prepare.clean, readers["train"], readers.get("validation")
        drops = self.recipe.prepare.leakage == "drop-from-train"
        kept_out = {split: reader for split, reader in readers.items() if split == "test" and drops}
        settings = {
            "task": task.identity(), "clean": [cleaner.identity() for cleaner in clean], "source": train.identity(),
            "validation": validation.identity() if validation else None, "shares": shares,
            "kept_out": {split: reader.identity() for split, reader in kept_out.items()},
            "fold": [fold.number, fold.count],
        }  # fmt: skip
        work = partial(prepare_train_step, task, train, shares, clean, kept_out, fold, validation)
        read = [train, *([validation] if validation else []), *kept_out.values()]
        title = f"prepare {title_of(self.recipe, name, 'train')}"
        node = self._node(title, "prepare", settings, [task, *read, *clean], [], work)
        return {"train": node, "validation": node}

    def place(self, name: str) -> TaskPlace:
        """Say to a step where a task's splits lie among its inputs."""
        return TaskPlace(name, {split: node.name for split, node in self.splits[name].items()})

    def split_nodes(self, name: str, *splits: str) -> list[Node]:
        """The nodes with these splits of a task, each once; train, which holds its facts, comes first."""
        nodes = self.splits[name]
        found = [nodes[split] for split in ("train", *splits) if split in nodes]
        return list({node.name: node for node in found}.values())

    def _checks(self, name: str) -> Node:
        """The comparison of a task's splits with each other, and with all unlabelled text."""
        inputs = [*self.split_nodes(name, "validation", "test"), *self.texts.values()]
        texts = {text: node.name for text, node in self.texts.items()}
        fails = self.recipe.prepare.leakage == "fail"
        work = partial(checks_step, self.place(name), texts, fails)
        settings = {"texts": list(texts), "fails": fails}
        return self._node(title_of(self.recipe, name, "checks"), "checks", settings, [], inputs, work)

    def _augment(self, name: str) -> Node:
        task, model, augmenters = self.recipe.all_tasks[name], self.recipe.model, self.recipe.prepare.augment
        settings = {"augment": [augmenter.identity() for augmenter in augmenters], "seed": self.recipe.seed}
        reads_model = any(augmenter.reads_model for augmenter in augmenters)
        if reads_model:
            settings |= self.model_settings
        work = partial(
            augment_step, self.place(name), task, augmenters, self.recipe.seed, self.recipe.prepare.workers,
            model if reads_model else None, self.start,
        )  # fmt: skip
        title = title_of(self.recipe, name, "augment")
        inputs = [*self.split_nodes(name), *([self.preprocessor] if reads_model else [])]
        return self._node(title, "augment", settings, [*augmenters, *([model] if reads_model else [])], inputs, work)

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
        of_the_stage = {"weight", "batch_size", "data", "task", *objective.after_encoding}
        settings = {key: value for key, value in objective.identity().items() if key not in of_the_stage}
        settings["trains_task"] = objective.task is not None  # a task's rows may also be read as plain text
        settings["sources"] = [source.name if source.task else "text" for source in sources]
        tasks = {source.task: self.recipe.all_tasks[source.task] for source in sources if source.task}
        components: list[Component] = [objective, *tasks.values(), self.recipe.model]
        name = f"encode {stage_name(stage, index)}.{objective.title}"
        work = partial(
            encode_step, self.recipe, objective, sources, {n: self.place(n) for n in tasks if n},
            augment.name if augment else None,
        )  # fmt: skip
        titles = [source.title for source in sources]
        return self._node(
            name, "encode", settings, components, [*inputs.values(), self.preprocessor], work, sources=titles
        )
