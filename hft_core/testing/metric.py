"""Checks of metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hft_core.components import Metric
from hft_core.testing.sample import Case
from hft_core.testing.subject import Subject, untouched

_CLOSE = 1e-6


def matches_hand_made_cases(subject: Subject) -> None:
    """Its figures are those that were worked out by hand, see `Sample.cases`."""
    for metric, case in _cases(subject):
        found = metric.measure(case.predictions, case.truths, case.facts)
        for name, value in case.expected.items():
            assert name in found, f"it gives {', '.join(found)}, and no {name!r}"
            same = found[name] is value or np.isclose(found[name], value, atol=_CLOSE, equal_nan=True)
            assert same, f"{name} is {found[name]} where {value} is right, for {list(case.predictions)[:3]} …"


def gives_statistics_per_row(subject: Subject) -> None:
    """`rows` gives float64 [rows, k], each row's the same when the row stands alone; the first figure is its type's."""
    for metric, case in _cases(subject):
        statistics = metric.rows(case.predictions, case.truths, case.facts)
        assert statistics.dtype == np.float64, f"rows() has to give float64, found {statistics.dtype}"
        assert statistics.ndim == 2, f"rows() has to give [rows, k], found the shape {statistics.shape}"
        assert len(statistics) == len(case.truths), f"rows() gave {len(statistics)} rows for {len(case.truths)}"
        for row in range(len(case.truths)):
            alone = metric.rows(case.predictions[row : row + 1], case.truths[row : row + 1], case.facts)
            assert np.allclose(alone[0], statistics[row], equal_nan=True), (
                f"row {row} counts otherwise when it stands alone"
            )
        first = next(iter(metric.figures(statistics, case.facts)))
        assert first == metric.title, f"its first figure has to be called {metric.title!r}, found {first!r}"


def does_not_depend_on_order(subject: Subject) -> None:
    """The same rows in another order give the same figures."""
    for metric, case in _cases(subject):
        order = np.random.default_rng(0).permutation(len(case.truths))
        turned = metric.measure([case.predictions[i] for i in order], [case.truths[i] for i in order], case.facts)
        _same(metric.measure(case.predictions, case.truths, case.facts), turned, "another order of rows")


def adds_up_over_batches(subject: Subject) -> None:
    """The figures of all rows are those of the batches' statistics put together."""
    for metric, case in _cases(subject):
        half = max(1, len(case.truths) // 2)
        parts = [
            metric.rows(case.predictions[piece], case.truths[piece], case.facts)
            for piece in (slice(None, half), slice(half, None))
            if len(case.truths[piece])
        ]
        found = metric.figures(np.concatenate(parts), case.facts)
        _same(metric.measure(case.predictions, case.truths, case.facts), found, "two batches")
        if metric.additive:
            summed = np.sum([part.sum(axis=0) for part in parts], axis=0)
            _same(found, metric.figures(summed, case.facts), "the sum of the statistics")


def leaves_its_input_alone(subject: Subject) -> None:
    """It changes neither predictions nor targets nor facts."""
    for metric, case in _cases(subject):
        with untouched(list(case.predictions), list(case.truths), case.facts):
            metric.measure(case.predictions, case.truths, case.facts)


def _cases(subject: Subject) -> Iterator[tuple[Metric, Case]]:
    assert subject.sample.cases, "give a Sample with cases: predictions, truths, and the figures worked out by hand"
    for case in subject.sample.cases:
        yield subject.make(**case.settings), case


def _same(one: Mapping[str, float], other: Mapping[str, float], by: str) -> None:
    assert one.keys() == other.keys(), f"{by} gives other figures: {', '.join(one)}, and {', '.join(other)}"
    for name in one:
        if isinstance(one[name], (int, float)):
            assert np.isclose(one[name], other[name], equal_nan=True), f"{by} makes {name} {other[name]} of {one[name]}"


CHECKS = (
    matches_hand_made_cases,
    gives_statistics_per_row,
    does_not_depend_on_order,
    adds_up_over_batches,
    leaves_its_input_alone,
)
