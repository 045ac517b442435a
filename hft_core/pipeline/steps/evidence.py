"""Evaluation of the finished model, and the baselines beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hft_core.components import Facts, Metric
from hft_core.data.prepare import Prepared
from hft_core.data.table import read_all
from hft_core.evidence import evaluation
from hft_core.pipeline.steps.common import MAIN, Folders, Process, bound_task, build_net, load_preprocessor, write_json
from hft_core.recipe.model import Recipe


def evaluate_step(
    recipe: Recipe, metrics: Sequence[Metric], stage: str, out: Path, inputs: Folders, process: Process
) -> None:
    """Predict validation and test, tune the task's facts on validation, measure."""
    from hft_core.training.inference import infer

    prepared = Prepared.load(inputs["prepare"])
    assert recipe.task is not None
    task = bound_task(recipe.task, prepared)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = build_net(recipe, inputs[stage] / "model", preprocessor, {MAIN: task.head(prepared.facts)})
    facts: Facts = prepared.facts
    for split in ("validation", "test"):
        columns = read_all(prepared.file(split))
        if not columns:
            continue
        outcome = infer(net, MAIN, task, columns, preprocessor, facts)
        found = outcome.predictions
        if split == "validation":
            facts = task.tune(columns, outcome.arrays, outcome.outputs, facts)
            if facts != prepared.facts:
                found = task.decode(columns, outcome.arrays, outcome.outputs, facts)
        truths = task.truths(columns, facts)
        texts = [
            " | ".join(map(str, parts)) for parts in zip(*(columns[name] for name in prepared.roles.text), strict=True)
        ]
        evaluation.save(out, split, metrics, found, truths, texts, facts)
        shown = ", ".join(f"{m.title} {next(iter(m.measure(found, truths, facts).values())):.4f}" for m in metrics)
        process.say(f"{split}: {shown}")
    write_json(out / "facts.json", facts)


def baselines_step(
    recipe: Recipe, metrics: Sequence[Metric], source: Path | None, out: Path, inputs: Folders, process: Process
) -> None:
    """Measure what a model has to beat: majority, TF-IDF + logistic regression, frozen backbone + linear probe."""
    from hft_core.evidence import baselines
    from hft_core.training.inference import vectors

    prepared = Prepared.load(inputs["prepare"])
    assert recipe.task is not None
    task = bound_task(recipe.task, prepared)
    train = read_all(prepared.file("train"))
    facts = prepared.facts
    labels = [str(truth["label"]) for truth in task.truths(train, facts)]
    texts = _joined(train, prepared)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = build_net(recipe, source, preprocessor, {MAIN: task.head(facts)}, recipe.seed)
    chosen = baselines.training_rows(len(labels))
    sample = {name: [values[index] for index in chosen] for name, values in train.items()}
    train_vectors = vectors(net, task.encode(sample, preprocessor, facts), preprocessor)
    for split in ("validation", "test"):
        columns = read_all(prepared.file(split))
        if not columns:
            continue
        truths = task.truths(columns, facts)
        found = {
            "majority": baselines.majority(labels, len(truths)),
            "tfidf": baselines.tfidf(texts, labels, _joined(columns, prepared)),
        }
        if train_vectors is not None:
            own = vectors(net, task.encode(columns, preprocessor, facts), preprocessor)
            assert own is not None
            found["probe"] = baselines.linear_probe(train_vectors, [labels[index] for index in chosen], own)
        for name, predicted in found.items():
            evaluation.save(out / name, split, metrics, predicted, truths, None, facts)
        headline = metrics[0]
        shown = ", ".join(
            f"{name} {next(iter(headline.measure(predicted, truths, facts).values())):.4f}"
            for name, predicted in found.items()
        )
        process.say(f"{split}, {headline.title}: {shown}")


def _joined(columns: Mapping[str, list[Any]], prepared: Prepared) -> list[str]:
    return ["\n".join(map(str, parts)) for parts in zip(*(columns[name] for name in prepared.roles.text), strict=True)]
