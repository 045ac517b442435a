"""Decisions gate: on real rows, from raw text to prediction, the export decides what the model decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hft_core import Columns, Finished, Metric, Prediction
from hft_core.runtime.agreement import TIE, decision, drift, margin
from hft_plugins.onnx import vectors
from hft_plugins.onnx.gates import Gate

ROWS = 2000
"""At most so many validation rows, evenly spaced; 2 % of flips are then known to ± 0.6 points."""


@dataclass(frozen=True)
class Limits:
    """What a precision may change."""

    flips: float
    """Share of rows whose decision differs; ties (two best scores closer than 1e-4) don't count."""
    points: float
    """Change of each metric for the worse. Ties count as the reference's decision."""
    share: float | None = None
    """The same of a metric that exceeds 1, such as perplexity, as a share of it; None: as `points`."""
    drift: float = math.inf
    """Difference of any number of a prediction whose decision is the same (see `agreement.drift`)."""


LIMITS = {
    "fp32": Limits(flips=0.0, points=1e-4, drift=1e-3),
    "fp16": Limits(flips=0.001, points=1e-3),
    "int8": Limits(flips=0.02, points=0.01),
    "w8": Limits(flips=0.02, points=0.01),
    "w4": Limits(flips=0.02, points=0.01, share=0.05),
}


def sampled(columns: Columns, rows: int = ROWS) -> Columns:
    """Give at most `rows` rows, evenly spaced, in order."""
    total = len(next(iter(columns.values()), []))
    chosen = [index * total // rows for index in range(rows)] if total > rows else range(total)
    return {name: [values[index] for index in chosen] for name, values in columns.items()}


def advice(precision: str) -> str:
    """Say what to do about a precision beside fp32 that misses a gate."""
    return f"take {precision} out of `precisions`, or write it all the same: `hft export RUN --allow-drift`"


def decision_gates(
    run: Finished, columns: Columns, precision: str, reference: list[Prediction], found: list[Prediction]
) -> list[Gate]:
    """Compare the predictions for `columns`, raw rows, of one precision with the model's own."""
    limits = LIMITS[precision]
    todo = "" if precision == "fp32" else advice(precision)
    pairs = list(zip(reference, found, strict=True))
    differ = [decision(one) != decision(two) for one, two in pairs]
    ties = [other and margin(one) < TIE for other, (one, _) in zip(differ, pairs, strict=True)]
    flips = sum(differ) - sum(ties)
    share = flips / max(1, len(pairs))
    # Where decisions differ, so may the number of entities, and there is no drift to speak of.
    far = max((drift(one, two) for other, (one, two) in zip(differ, pairs, strict=True) if not other), default=0.0)
    extra = f", {sum(ties)} ties" if any(ties) else ""
    counted = f"{flips} flips ({share:.2%}){extra}"
    if run.task.autoregressive and run.metrics and precision != "fp32":
        # A token that tips changes all that is written after it: the metrics (perplexity) say what it is worth.
        bound, kept = "reported, the metrics decide", True
    else:
        bound, kept = f"≤ {100 * limits.flips:g}% of {len(pairs)} rows flip", share <= limits.flips
    gates = [_gate(f"decisions: {precision}", bound, f"{counted}; largest drift of a number {far:.1e}", kept, todo)]
    if limits.drift < math.inf:
        bound = f"≤ {limits.drift:g} where decisions agree"
        gates.append(_gate(f"drift: {precision}", bound, f"{far:.1e}", far <= limits.drift, todo))
    gates += _vector_gates(precision, reference, found, todo)
    settled = [one if tie else two for one, two, tie in zip(reference, found, ties, strict=True)]
    truths = run.task.truths(columns, run.facts)
    for metric in run.metrics:
        gates += _metric_gates(metric, run, precision, truths, reference, settled, limits, todo)
    return gates


def _vector_gates(precision: str, reference: list[Prediction], found: list[Prediction], todo: str) -> list[Gate]:
    """Where predictions are vectors, which decide nothing by themselves: whether they point the same way."""
    seen, bounds = vectors.compared(precision, reference, found), vectors.BOUNDS[precision]
    if seen is None:
        return []
    turn = _gate(
        f"vectors: {precision}", f"1 - cosine ≤ {bounds.turn:g}", f"{seen.turn:.1e}", seen.turn <= bounds.turn, todo
    )
    extra = f", {seen.ties} ties" if seen.ties else ""
    bound = f"≤ {100 * bounds.flips:g}% of {len(reference)} rows have another (ties: within {bounds.tie:g})"
    neighbours = _gate(f"neighbours: {precision}", bound, f"{seen.flips:.2%}{extra}", seen.flips <= bounds.flips, todo)
    return [turn, neighbours]


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
    limit = limits.points if abs(value) <= 1 else abs(value) * (limits.share or limits.points)
    bound = f"{value:.4f}, at most {limit:.4g} {'off' if precision == 'fp32' else 'worse'}"
    undefined = math.isnan(value) and math.isnan(after[name])  # by the same rows: where there is nothing to measure
    return [_gate(f"{name}: {precision}", bound, f"{after[name]:.4f}", undefined or change <= limit, todo)]


def _gate(name: str, bound: str, measured: str, passed: bool, todo: str) -> Gate:
    return Gate(name, bound, measured, passed, todo, drift=True) if todo else Gate(name, bound, measured, passed)
