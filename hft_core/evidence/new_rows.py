"""A bundle on new labelled rows: figures with intervals, slices, calibration, drift. Without torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from hft_core.components import Metric, Prediction, Reader, Task
from hft_core.data.checks import counted
from hft_core.data.ledger import Ledger
from hft_core.data.survey import joined_texts
from hft_core.data.table import ROW
from hft_core.errors import DataError, PluginError, RecipeError
from hft_core.evidence.calibration import judged_scores
from hft_core.evidence.drift import drift
from hft_core.evidence.intervals import bootstrap
from hft_core.evidence.labelled import read_labelled, with_known_labels
from hft_core.evidence.slices import by_length, by_value, compared_slices
from hft_core.recipe.metrics import measures
from hft_core.recipe.narrow import narrowed
from hft_core.registry import Registry
from hft_core.runtime import ERROR

if TYPE_CHECKING:
    from hft_core.runtime.bundle import Bundle

FORMAT = 1
"""Of what `evaluate` gives. Grows when a key goes or changes its meaning."""
_TRAIN = "train"


@dataclass(frozen=True)
class Judge:
    """What a bundle is judged by."""

    name: str
    """The task's name in the bundle; empty where it has only one."""
    task: Task
    facts: dict[str, Any]
    metrics: Sequence[Metric]
    deciding: Metric | None
    """Of them the one that the run decided by; the first one for a bundle alone."""
    before: Mapping[str, Any]
    """The run's own figures on `before_split`, by name, see `report.json`; empty without a run."""
    before_split: str | None
    """The split that the run measured the task on: test, or validation without one."""
    trained: Mapping[str, Any]
    """What is known of the training rows, see `drift`."""


def judge_of(bundle: Bundle, registry: Registry, name: str | None) -> Judge:
    """Find out how a bundle is judged: its task with what that learned, and its run's metrics where the run is there.

    Raises RecipeError for a name that is no task of the bundle's, PluginError where the task's plugin is not installed or reads
    other settings.
    """
    tasks = bundle.description.get("tasks") or {"": bundle.description["task"]}
    if name is None and len(tasks) > 1:
        raise RecipeError(f"the bundle answers several tasks; say which one with --task, out of {', '.join(tasks)}")
    if name is not None and name not in tasks:
        has = f"it has {', '.join(tasks)}" if "" not in tasks else "it has only one, so leave --task out"
        raise RecipeError(f"the bundle has no task {name!r}; {has}")
    chosen: str = name if name is not None and name in tasks else next(iter(tasks))
    entry = tasks[chosen]
    known = narrowed(registry, Task.kind)
    if entry["type"] not in known:
        raise PluginError(registry.explain_missing(Task.kind, entry["type"]))
    task = _task(known[entry["type"]], entry)
    report, recipe = _run_of(bundle.folder)
    settings = (recipe.get("evaluate") or {}).get("metrics") or task.default_metrics
    metrics = [metric for one in settings if (metric := _metric(one, registry)) and measures(metric, task)]
    split, before = _before(report, chosen)
    deciding = _deciding(metrics, report, chosen)
    return Judge(
        chosen, task, entry["facts"], metrics, deciding, before, split, _trained(report, entry["facts"], chosen)
    )


def _task(known: type[BaseModel], described: Mapping[str, Any]) -> Task:
    """The task as the recipe had it; older bundles have the settings of its runtime module alone, mostly the same."""
    try:
        task = known.model_validate(described.get("entry") or {"type": described["type"], **described["settings"]})
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise PluginError(
            f"the bundle's task {described['type']} cannot be made with what is installed ({said}); export the run again"
        ) from error
    assert isinstance(task, Task)
    return task


def evaluate(bundle: Bundle, judge: Judge, reader: Reader, slices: Sequence[str] = (), seed: int = 0) -> dict[str, Any]:
    """Measure a bundle on labelled rows; plain JSON. Raises DataError where no row can be measured."""
    roles = judge.task.roles()
    ledger = Ledger()
    columns = read_labelled(judge.task, reader, ledger, slices)
    kept, unknown = with_known_labels(columns, judge.task, judge.facts)
    named = bundle.named(kept, judge.name)
    asked = [name for name in (*bundle.text, *bundle.inputs, *bundle.optional) if name in named]
    rows = [dict(zip(asked, row, strict=True)) for row in zip(*(named[name] for name in asked), strict=True)]
    answers = bundle.predict(rows, keep_going=True)
    answered = [place for place, answer in enumerate(answers) if ERROR not in answer]
    if not answered:
        read = len(columns[ROW])
        raise DataError(f"none of {read} {counted('row', read)} can be measured{_why(unknown, answers)}")
    kept = {name: [values[place] for place in answered] for name, values in kept.items()}
    found: list[Prediction] = [answers[place] for place in answered]
    if judge.name:
        found = [answer[judge.name] for answer in found]
    truths = judge.task.truths(kept, judge.facts)
    texts = joined_texts(kept, roles)
    figures: dict[str, Any] = {}
    apart: list[dict[str, Any]] = []
    measured = [metric for metric in judge.metrics if metric.needs <= found[0].keys()]
    deciding = judge.deciding if judge.deciding in measured else next(iter(measured), None)
    for metric in measured:
        statistics = metric.rows(found, truths, judge.facts)
        ends = bootstrap(metric, statistics, judge.facts, seed)
        for name, value in metric.figures(statistics, judge.facts).items():
            low, high = ends[name]
            figures[name] = {"value": value, "low": low, "high": high}
        if metric is deciding and len(statistics) == len(texts):
            dimensions = {"length": by_length(texts), **{name: by_value(kept[name]) for name in slices}}
            apart = compared_slices(metric, statistics, judge.facts, dimensions, seed)
    unknown_tokens = bundle.unknown_rate(bundle.named(kept, judge.name), judge.name)
    return {
        "format": FORMAT,
        "bundle": str(bundle.folder),
        "rows": len(answered),
        "left_out": {
            "unreadable": dict(ledger.quarantined),
            "unknown_labels": dict(unknown),
            "not_answered": len(answers) - len(answered),
        },
        "figures": figures,
        "before": dict(judge.before),
        "before_split": judge.before_split,
        "headline": deciding.title if deciding else None,
        "not_measured": [metric.title for metric in judge.metrics if metric not in measured],
        "slices": apart,
        "scores": _scores(judge, found, truths, seed),
        "drift": drift(texts, _labels(truths), unknown_tokens, judge.trained, seed),
    }


def _labels(truths: Sequence[Prediction]) -> list[str]:
    """All labels of some rows."""
    found: list[str] = []
    for truth in truths:
        found += [str(truth["label"])] if "label" in truth else [str(label) for label in truth.get("labels", ())]
    return found


def _scores(
    judge: Judge, found: Sequence[Prediction], truths: Sequence[Prediction], seed: int
) -> dict[str, Any] | None:
    """How honest the scores are; None without scores, or without scikit-learn."""
    try:
        return judged_scores(judge.task.target_form, found, truths, judge.facts, seed=seed)
    except ModuleNotFoundError:
        return None


def _run_of(bundle: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Report and recipe of the run that a bundle lies in; empty where it has been copied elsewhere."""
    try:
        report = json.loads((bundle.parent / "report.json").read_text("utf-8"))
        recipe = json.loads((bundle.parent / "run.json").read_text("utf-8"))["recipe"]
    except (OSError, ValueError, KeyError):
        return {}, {}
    return report, recipe


def _metric(settings: Mapping[str, Any], registry: Registry) -> Metric | None:
    known = narrowed(registry, Metric.kind).get(str(settings.get("type")))
    metric = known.model_validate(dict(settings)) if known else None
    return metric if isinstance(metric, Metric) else None


def _deciding(metrics: Sequence[Metric], report: Mapping[str, Any], task: str) -> Metric | None:
    """The metric whose figure heads a run's report for a task."""
    heads = [head["metric"] for head in report.get("headlines", ())]
    titles = {f"{task}.{metric.title}" if task else metric.title: metric for metric in metrics}
    named = (titles[head] for head in heads if head in titles)
    return next(named, metrics[0] if metrics else None)


def _before(report: Mapping[str, Any], task: str) -> tuple[str | None, dict[str, Any]]:
    """The split that a run's report has a task's figures of, and these by name."""
    prefix = f"{task}." if task else ""
    for split in ("test", "validation"):
        figures = report.get("metrics", {}).get(split, {})
        own = {name.removeprefix(prefix): value for name, value in figures.items() if name.startswith(prefix)}
        if own:
            return split, own
    return None, {}


def _trained(report: Mapping[str, Any], facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What is known of the training rows: of a bundle alone the mix of labels at most."""
    found: dict[str, Any] = {}
    labels, counts = facts.get("labels", ()), facts.get("counts", ())
    if len(labels) == len(counts) > 0:  # a task may call tags its labels, and count something else
        found["labels"] = dict(zip(map(str, labels), counts, strict=True))
    title = f"{name}.{_TRAIN}" if name else _TRAIN
    source = next((one for one in report.get("ledger", ()) if one["name"] == title), None)
    if source and source.get("survey"):
        found |= {"lengths": source["survey"]["lengths"], "unknown": source.get("unknown_rate")}
        if source["survey"].get("balance"):
            found.setdefault("labels", source["survey"]["balance"])
    return found


def _why(unknown: Counter[str], answers: Sequence[Mapping[str, Any]]) -> str:
    if answers:
        return f": {answers[0][ERROR]}"
    return f"; the model knows none of their labels ({', '.join(list(unknown)[:5])})" if unknown else ""
