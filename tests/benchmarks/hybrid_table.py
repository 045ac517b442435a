"""The tables of hybrid.py: figures of each task, the paired difference with its interval, and the differences pooled.

A task's difference is hft's mean over seeds less the Trainer's, on the same rows and seeds; its interval of 95 % is that of
hft_core.evidence.comparison over rows and seeds, with one seed over rows alone. Pooled, each task counts the same: the mean of
the differences, its standard error that of a mean of independent figures, degrees of freedom by Satterthwaite. So it
speaks of these tasks with other rows and seeds, not of all tasks there may be.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tests.benchmarks import arms

METRICS = {
    "sst2-1000": "accuracy",
    "ag-news-400": "accuracy",
    "citation-intent": "macro-F1",
    "trec": "accuracy",
    "sciie": "macro-F1",
    "sst2": "accuracy",
    "sci-cite": "macro-F1",
}
"""What each task is measured by, as its papers do; the cheapest task first."""
_REPORTED = ("citation-intent",)
"""Shown, and not decisive: its test has 139 rows."""
_FEW = 2000
"""A task of few labels has at most so many rows to train on."""

Line = Mapping[str, Any]


def print_tables(lines: Sequence[Line], recipe: str | None = None) -> None:
    """Print what the lines of a results file say of one recipe, by its mark in the file; default: the one that ran last."""
    rows, differences = [], {}
    recipe = recipe or next((line["recipe"] for line in reversed(lines) if line.get("arm") == "hft"), None)
    for task in METRICS:
        about = next((line for line in reversed(lines) if line["task"] == task and "right" in line), None)
        if about is None:
            continue
        arms_of = _runs(about, lines, recipe)
        for clean in (False, True) if task in _REPORTED else (False,):
            row, difference = _row(task, about, arms_of, clean)
            rows.append(row)
            if difference is not None and not clean:
                differences[task] = (difference, sum(about["rows"][split] for split in ("train", "validation")))
    arms.table(
        ["task", "rows to train on", "metric", "hft (mean)", "by seed", "Trainer (mean)", "by seed", "hft less Trainer",
         "95 % interval", "CPU s of training: hft", "Trainer"],
        rows,
    )  # fmt: skip
    decisive = {task: found for task, (found, _) in differences.items() if task not in _REPORTED}
    few = {task: found for task, (found, count) in differences.items() if count <= _FEW}
    pools = [("tasks that decide", decisive), ("all tasks", {task: found for task, (found, _) in differences.items()})]
    pools.append((f"tasks with at most {_FEW:,} labelled rows", few))
    arms.table(
        ["pooled", "tasks", "hft less Trainer", "95 % interval"],
        [[name, ", ".join(found), *_cells(pooled(found.values()))] for name, found in pools if found],
    )


def _runs(about: Line, lines: Sequence[Line], recipe: str | None) -> dict[str, dict[int, Line]]:
    """Give each arm's runs by seed, on the files that the task's line is about."""
    found = [line for line in lines if all(line[key] == about[key] for key in ("task", "files")) and "arm" in line]
    wanted = {"hft": recipe, "Trainer": None}
    return {
        arm: {line["seed"]: line for line in found if (line["arm"], line["recipe"]) == (arm, mark)}
        for arm, mark in wanted.items()
    }


def _row(task: str, about: Line, runs: Mapping[str, Mapping[int, Line]], clean: bool) -> tuple[list[str], Any]:
    """Give a line of the table, and the Comparison, None where no seed has run on both sides."""
    metric, facts = _metric(task), {"labels": about["labels"]}
    kept = [index for index, mark in enumerate(about["leaked"]) if not (clean and mark == "1")]
    right = [{"label": about["labels"][int(about["right"][index])]} for index in kept]
    counted: dict[str, dict[int, Any]] = {}
    for arm, by_seed in runs.items():
        counted[arm] = {}
        for seed, line in by_seed.items():
            predicted = [{"label": about["labels"][int(line["predicted"][index])]} for index in kept]
            counted[arm][seed] = metric.rows(predicted, right, facts)
    difference = _compared(metric, facts, counted, len(kept))
    cells = [f"{task}, {len(kept)} test rows that were no leak" if clean else task, _count(about), METRICS[task]]
    for arm in ("hft", "Trainer"):
        figures = [100 * metric.figures(counted[arm][seed], facts)[metric.title] for seed in sorted(counted[arm])]
        cells += [f"{statistics.mean(figures):.2f}" if figures else "", ", ".join(f"{one:.2f}" for one in figures)]
    cpu = [[line["train_cpu_s"] for line in runs[arm].values()] for arm in ("hft", "Trainer")]
    return [*cells, *_cells(difference), *(f"{statistics.mean(own):.0f}" if own else "" for own in cpu)], difference


def _compared(metric: Any, facts: Any, counted: Mapping[str, Mapping[int, Any]], rows: int) -> Any:
    from hft_core.evidence.comparison import compare_crossed, pseudo_values

    both = sorted(counted["hft"].keys() & counted["Trainer"].keys())
    if not both:
        return None
    peer, own = (
        np.stack([pseudo_values(metric, counted[arm][seed], facts) for seed in both]) for arm in ("Trainer", "hft")
    )
    return compare_crossed(peer, own, rows)


def pooled(found: Iterable[Any]) -> Any:
    """Pool Comparisons of tasks, each of which counts the same."""
    from hft_core.evidence.comparison import Comparison

    found = list(found)
    variances = np.array([one.standard_error**2 for one in found])
    degrees = np.array([one.degrees for one in found])
    total = float(variances.sum())
    return Comparison(
        difference=float(np.mean([one.difference for one in found])),
        standard_error=total**0.5 / len(found),
        degrees=total**2 / float((variances**2 / degrees).sum()) if total else float(degrees.min()),
        seeds=min(one.seeds for one in found),
        rows=sum(one.rows for one in found),
        of_seeds=sum(one.of_seeds for one in found) / len(found) ** 2,
        of_both=sum(one.of_both for one in found) / len(found) ** 2,
    )


def _cells(found: Any) -> list[str]:
    if found is None:
        return ["", ""]
    return [f"{100 * found.difference:+.2f}", f"{100 * found.low:+.2f} … {100 * found.high:+.2f}"]


def _count(about: Line) -> str:
    rows = about["rows"]
    return f"{rows['train']:,} (+ {rows['validation']} for validation)"


def _metric(task: str) -> Any:
    from hft_plugins.metrics.classification import F1, Accuracy

    return Accuracy(type="accuracy") if METRICS[task] == "accuracy" else F1(type="f1", average="macro")
