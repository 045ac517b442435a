"""Decisions gate: on real rows, from raw text to prediction, the export decides what the model decides."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from hft_core import Call, Columns, Finished, Metric, Prediction
from hft_core.runtime.agreement import TIE, decision, drift, margin
from hft_core.runtime.cleaning import clean_columns, restored
from hft_core.runtime.driver import predict
from hft_plugins.onnx.gates import Gate

ROWS = 2000
"""At most so many validation rows, evenly spaced; 2 % of flips are then known to ± 0.6 points."""


@dataclass(frozen=True)
class Limits:
    """What a precision may change."""

    flips: float
    """Share of rows whose decision differs; ties (two best scores closer than 1e-4) don't count."""
    points: float
    """Change of each metric for the worse; of one that exceeds 1, such as perplexity, as a share of it. Ties count as the
    reference's decision."""


LIMITS = {"fp32": Limits(flips=0.0, points=1e-4), "int8": Limits(flips=0.02, points=0.01)}


def sampled(columns: Columns, rows: int = ROWS) -> Columns:
    """Give at most `rows` rows, evenly spaced, in order."""
    total = len(next(iter(columns.values()), []))
    chosen = [index * total // rows for index in range(rows)] if total > rows else range(total)
    return {name: [values[index] for index in chosen] for name, values in columns.items()}


def advice(precision: str) -> str:
    """Say what to do about a precision beside fp32 that misses a gate."""
    return f"take {precision} out of `precisions`, or export another model"


def answers(run: Finished, columns: Columns, call: Call) -> list[Prediction]:
    """Give the predictions for raw rows just as a bundle does, with the graphs run by `call`."""
    steps = [(import_module(cleaner.runtime), cleaner.settings()) for cleaner in run.cleaners]
    cleaned, trails = clean_columns(columns, run.task.roles().text, steps)
    predictions = predict(run.task, cleaned, run.preprocessor, run.facts, call).predictions
    return [restored(prediction, trail) for prediction, trail in zip(predictions, trails, strict=True)]


def decision_gates(
    run: Finished, columns: Columns, precision: str, reference: list[Prediction], found: list[Prediction]
) -> list[Gate]:
    """Compare the predictions for `columns`, raw rows, of one precision with the model's own."""
    limits = LIMITS[precision]
    todo = "" if precision == "fp32" else advice(precision)
    ties = [margin(one) < TIE and decision(one) != decision(two) for one, two in zip(reference, found, strict=True)]
    flips = sum(
        decision(one) != decision(two) and not tie for one, two, tie in zip(reference, found, ties, strict=True)
    )
    share = flips / max(1, len(reference))
    far = max((drift(one, two) for one, two in zip(reference, found, strict=True)), default=0.0)
    extra = f", {sum(ties)} ties" if any(ties) else ""
    gates = [
        _gate(
            f"decisions: {precision}",
            f"≤ {limits.flips:.0%} of {len(reference)} rows flip",
            f"{flips} flips ({share:.2%}){extra}; largest drift of a number {far:.1e}",
            share <= limits.flips,
            todo,
        )
    ]
    settled = [one if tie else two for one, two, tie in zip(reference, found, ties, strict=True)]
    truths = run.task.truths(columns, run.facts)
    for metric in run.metrics:
        gates += _metric_gates(metric, run, precision, truths, reference, settled, limits, todo)
    return gates


def _metric_gates(
    metric: Metric,
    run: Finished,
    precision: str,
    truths: list[Prediction],
    reference: list[Prediction],
    found: list[Prediction],
    limits: Limits,
    todo: str,
) -> list[Gate]:
    """Compare a metric's headline. A change for the better is one, too, but no reason to refuse 8 bits."""
    before = metric.measure(reference, truths, run.facts)
    after = metric.measure(found, truths, run.facts)
    name, value = next(iter(before.items()))  # what follows the headline may be counts, which have another scale
    loss = (value - after[name]) * (1 if metric.greater_is_better else -1)
    change = abs(loss) if precision == "fp32" else loss
    limit = limits.points * max(1.0, abs(value))
    bound = f"{value:.4f}, at most {limit:g} {'off' if precision == 'fp32' else 'worse'}"
    return [_gate(f"{name}: {precision}", bound, f"{after[name]:.4f}", change <= limit, todo)]


def _gate(name: str, bound: str, measured: str, passed: bool, todo: str) -> Gate:
    return Gate(name, bound, measured, passed, todo) if todo else Gate(name, bound, measured, passed)
