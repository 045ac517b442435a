"""Comparing two arms of a gate: the same recipe with and without an entry, on the same rows with the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hft_core.components import Facts, Metric
from hft_core.errors import DataError
from hft_core.evidence.comparison import Comparison, Values, compare_crossed, compare_folds, pseudo_values
from hft_core.pipeline.steps.common import Folders, Process, read_json, write_json

VERDICT = "verdict.json"


def gate_step(
    metric: Metric, position: int, folds: bool, without: Sequence[str], kept: Sequence[str],
    out: Path, inputs: Folders, process: Process,
) -> None:  # fmt: skip
    """Decide by the validation figures of both arms, one folder per seed: verdict.json."""
    first, second = ([inputs[name] for name in names] for names in (without, kept))
    write_json(out / VERDICT, verdict(metric, position, folds, first, second))


def verdict(
    metric: Metric, position: int, folds: bool, first: Sequence[Path], second: Sequence[Path]
) -> dict[str, Any]:
    """Compare two arms by their evaluations on validation, one folder per seed; `position` is the metric's in them.

    The difference is in the metric's own direction: above 0 the second arm's figure is the higher one.
    """
    found = compared(metric, position, folds, "validation", first, second)
    return {
        "verdict": found.verdict,
        "metric": metric.title,
        "without": figures(metric, first),
        "with": figures(metric, second),
        **found.told(metric.greater_is_better),
        "standard_error": found.standard_error,
        "p": found.p,
        "smallest": found.smallest,
        "settling": {"rows": found.settling_rows(), "seeds": found.settling_seeds()}
        if found.verdict == "unproven"
        else None,
        "seeds": found.seeds,
        "rows": found.rows,
        "folds": folds,
        "one_class": {"without": one_class(first, "validation"), "with": one_class(second, "validation")},
    }


def diverged(first: str | None, second: str | None) -> dict[str, Any]:
    """What stands instead of a comparison where training came to figures that are no numbers; each arm's message, or None.

    The arm that did not diverge is the better one; where both did, nothing is known.
    """
    side = "both" if first and second else "without" if first else "with"
    return {
        "verdict": {"both": "unproven", "without": "helps", "with": "harms"}[side],
        "diverged": second or first,
        "side": side,
    }


def compared(
    metric: Metric,
    position: int,
    folds: bool,
    split: str,
    first: Sequence[Path],
    second: Sequence[Path],
    learned: Facts | None = None,
) -> Comparison:
    """Compare evaluations of a split: of the same rows by each seed, or with `folds` of each fold's own.

    Of one that is not trained by seeds, such as a baseline, the only evaluation stands beside each seed of the other.
    `learned` is what the task learned from its rows, for evaluations that tuned nothing.
    """
    seeds = max(len(first), len(second))
    arms = [list(arm) * (seeds // len(arm)) for arm in (first, second)]
    measured = [[read_json(folder / f"{split}.json") for folder in arm] for arm in arms]
    rows = [[(one["rows"], one["digest"]) for one in arm] for arm in measured]
    if rows[0] != rows[1] or (not folds and len(set(rows[0])) > 1):
        counts = " and ".join(str([count for count, _ in arm]) for arm in rows)
        raise DataError(f"two ways of training were measured on different rows of {split} ({counts} rows)")
    one, two = ([_values(metric, position, folder, split, learned or {}) for folder in arm] for arm in arms)
    if folds:
        return compare_folds(one, two, sum(count for count, _ in rows[0]))
    return compare_crossed(np.stack(one), np.stack(two), rows[0][0][0])


def _values(metric: Metric, position: int, folder: Path, split: str, learned: Facts) -> Values:
    facts = read_json(folder / "facts.json") if (folder / "facts.json").is_file() else learned
    return pseudo_values(metric, np.load(folder / f"{split}.{position}.npy"), facts)


def figures(metric: Metric, arm: Sequence[Path]) -> list[float]:
    """The figure of each seed on validation."""
    return [read_json(folder / "validation.json")["figures"][metric.title] for folder in arm]


def one_class(arm: Sequence[Path], split: str) -> list[int]:
    """The seeds, from 0, whose model gives every row the same label, where the rows have several."""
    found = []
    for seed, folder in enumerate(arm):
        pairs = read_json(folder / f"{split}.json").get("pairs", ())
        if len({truth for truth, _ in pairs}) > 1 and len({predicted for _, predicted in pairs}) == 1:
            found.append(seed)
    return found
