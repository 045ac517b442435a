"""Evaluation of the finished model, and the baselines beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hft_core.components import Metric, Preprocessor
from hft_core.data.survey import joined_texts
from hft_core.errors import RecipeError
from hft_core.evidence import evaluation
from hft_core.evidence.calibration import judged_scores
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
    splits: Sequence[str],
    out: Path,
    inputs: Folders,
    process: Process,
) -> None:
    """Predict a task's validation and, if `splits` names it, its test; tune its facts on validation, measure."""
    rows = TaskRows.open(recipe, place, inputs)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = build_net(recipe, inputs[stage] / "model", preprocessor, {rows.name: rows.task.head(rows.facts)})
    _measure(net, rows, preprocessor, metrics, out, process, splits)


def before_step(
    recipe: Recipe, place: TaskPlace, metrics: Sequence[Metric], start: Path, trained: bool,
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Measure, as `evaluate_step` does, the model that the recipe starts from, where it has the task's head.

    One that knows more labels is measured without them. Raises RecipeError where it does not know all of these labels and
    no stage trains it either.
    """
    from hft_core.training.setup import label_changes, listed

    rows = TaskRows.open(recipe, place, inputs)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = build_net(recipe, start, preprocessor, {rows.name: rows.task.head(rows.facts)})
    added, gone = net.changed_labels.get(rows.name, ((), ()))
    if rows.name not in net.new_heads:
        if gone:
            process.say(label_changes(rows.name, added, gone))
        _measure(net, rows, preprocessor, metrics, out, process)
        return
    why = f"new {listed(added)}" if added else "other labels?"
    lacking = f"the run that the model starts from has no head for the task {rows.name!r} as it is here ({why})"
    if not trained:
        raise RecipeError(f"{lacking}, and no stage trains it; train it, or give the data that its run had")
    process.say(f"{lacking}: nothing to measure before training")


def _measure(
    net: Any, rows: TaskRows, preprocessor: Preprocessor, metrics: Sequence[Metric], out: Path, process: Process,
    splits: Sequence[str] = ("validation", "test"),
) -> None:  # fmt: skip
    from hft_core.training.inference import infer

    task, facts = rows.task, rows.facts
    for split in splits:
        columns = rows.rows(split)
        if not columns:
            continue
        outcome = infer(net, rows.name, task, columns, preprocessor, facts)
        found = outcome.predictions
        untuned = found
        if split == "validation":
            facts = task.tune(columns, outcome.arrays, outcome.outputs, facts)
            if facts != rows.facts:
                found = task.decode(columns, outcome.arrays, outcome.outputs, facts)
        elif facts != rows.facts:
            untuned = task.decode(columns, outcome.arrays, outcome.outputs, rows.facts)
        truths = task.truths(columns, facts)
        judged = judged_scores(task.target_form, found, truths, facts, untuned if untuned != found else None)
        if judged is not None:
            write_json(out / f"{split}.scores.json", judged)
        texts = joined_texts(columns, rows.roles, " | ")
        evaluation.save(out, split, metrics, found, truths, texts, facts, rows.digest(split))
        shown = ", ".join(f"{m.title} {next(iter(m.measure(found, truths, facts).values())):.4f}" for m in metrics)
        process.say(f"{split}: {shown}")
    write_json(out / "facts.json", facts)


def baselines_step(
    recipe: Recipe, place: TaskPlace, metrics: Sequence[Metric], source: Path | None, splits: Sequence[str],
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Measure what a model has to beat: a constant, a linear model on TF-IDF, and one on the frozen model's vectors."""
    from hft_core.evidence import baselines
    from hft_core.evidence.tfidf import training_rows
    from hft_core.training.inference import vectors

    rows = TaskRows.open(recipe, place, inputs)
    task, facts, train = rows.task, rows.facts, rows.rows("train")
    form = str(task.target_form)
    always, on_texts, on_vectors = baselines.NAMES[form]
    truths = task.truths(train, facts)
    on_tfidf = baselines.tfidf(form, joined_texts(train, rows.roles, "\n"), truths, facts)
    preprocessor = load_preprocessor(inputs["preprocessor"])
    net = build_net(recipe, source, preprocessor, {rows.name: task.head(facts)}, recipe.seed)
    chosen = training_rows(len(truths))
    sample = {name: [values[index] for index in chosen] for name, values in train.items()}
    own = vectors(net, task.encode(sample, preprocessor, facts), preprocessor)
    probe = None if own is None else baselines.linear_probe(form, own, [truths[index] for index in chosen], facts)
    thresholds: dict[str, float] = {}
    for split in splits:
        columns = rows.rows(split)
        if not columns:
            continue
        true = task.truths(columns, facts)
        found = {
            always: baselines.constant(form, truths, facts, len(true)),
            on_texts: on_tfidf(joined_texts(columns, rows.roles, "\n")),
        }
        own = None if probe is None else vectors(net, task.encode(columns, preprocessor, facts), preprocessor)
        if probe is not None and own is not None:
            found[on_vectors] = probe(own)
        for name in (on_texts, on_vectors) if form == "labels" else ():
            if name in found:
                if split == "validation":
                    thresholds[name] = baselines.tuned_threshold(found[name], true)
                found[name] = baselines.with_threshold(found[name], thresholds.get(name, 0.5))
        for name, predicted in found.items():
            evaluation.save(out / name, split, metrics, predicted, true, None, facts, rows.digest(split))
        headline = metrics[0]
        shown = ", ".join(
            f"{name} {next(iter(headline.measure(predicted, true, facts).values())):.4f}"
            for name, predicted in found.items()
            if headline.needs <= predicted[0].keys()
        )
        process.say(f"{split}, {headline.title}: {shown}")
