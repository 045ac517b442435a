"""Evaluation of the finished model, and the baselines beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hft_core.components import Columns, Metric, Roles
from hft_core.evidence import evaluation
from hft_core.pipeline.steps.common import (
    Folders,
    Process,
    TaskPlace,
    TaskRows,
    build_net,
    load_preprocessor,
    write_json,
)
from hft_core.recipe.model import Recipe


def evaluate_step(
    recipe: Recipe,
    place: TaskPlace,
    metrics: Sequence[Metric],
    stage: str,
    out: Path,
    inputs: Folders,
    process: Process,
) -> None:
    """Predict a task's validation and test, tune its facts on validation, measure."""
    from hft_core.training.inference import infer

    rows = TaskRows.open(recipe, place, inputs)
    task, facts = rows.task, rows.facts
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = build_net(recipe, inputs[stage] / "model", preprocessor, {rows.name: task.head(facts)})
    for split in ("validation", "test"):
        columns = rows.rows(split)
        if not columns:
            continue
        outcome = infer(net, rows.name, task, columns, preprocessor, facts)
        found = outcome.predictions
        if split == "validation":
            facts = task.tune(columns, outcome.arrays, outcome.outputs, facts)
            if facts != rows.facts:
                found = task.decode(columns, outcome.arrays, outcome.outputs, facts)
        truths = task.truths(columns, facts)
        texts = _joined(columns, rows.roles, " | ")
        evaluation.save(out, split, metrics, found, truths, texts, facts)
        shown = ", ".join(f"{m.title} {next(iter(m.measure(found, truths, facts).values())):.4f}" for m in metrics)
        process.say(f"{split}: {shown}")
    write_json(out / "facts.json", facts)


def baselines_step(
    recipe: Recipe, place: TaskPlace, metrics: Sequence[Metric], source: Path | None,
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Measure what a model has to beat: majority, TF-IDF + logistic regression, frozen backbone + linear probe."""
    from hft_core.evidence import baselines
    from hft_core.training.inference import vectors

    rows = TaskRows.open(recipe, place, inputs)
    task, facts, train = rows.task, rows.facts, rows.rows("train")
    labels = [str(truth["label"]) for truth in task.truths(train, facts)]
    texts = _joined(train, rows.roles, "\n")
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = build_net(recipe, source, preprocessor, {rows.name: task.head(facts)}, recipe.seed)
    chosen = baselines.training_rows(len(labels))
    sample = {name: [values[index] for index in chosen] for name, values in train.items()}
    train_vectors = vectors(net, task.encode(sample, preprocessor, facts), preprocessor)
    for split in ("validation", "test"):
        columns = rows.rows(split)
        if not columns:
            continue
        truths = task.truths(columns, facts)
        found = {
            "majority": baselines.majority(labels, len(truths)),
            "tfidf": baselines.tfidf(texts, labels, _joined(columns, rows.roles, "\n")),
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


def _joined(columns: Columns, roles: Roles, by: str) -> list[str]:
    """The texts of each row in one."""
    return [by.join(map(str, parts)) for parts in zip(*(columns[name] for name in roles.text), strict=True)]
