"""Checks of schedules."""

from __future__ import annotations

import math

from hft_core.components import Schedule
from hft_core.testing.subject import Subject

_LENGTHS = (1, 2, 7, 1000)


def stays_between_nothing_and_the_peak(subject: Subject) -> None:
    """Every factor of every step is a number from 0 to 1, for stages of one step and of many."""
    for steps in _LENGTHS:
        for step in range(steps):
            factor = subject.make().factor(step, steps)
            right = isinstance(factor, (int, float)) and math.isfinite(factor) and 0 <= factor <= 1 + 1e-9
            assert right, f"factor({step}, {steps}) is {factor!r}, not a number from 0 to 1"


def trains_at_all(subject: Subject) -> None:
    """The first step after warm-up has a rate above 0."""
    for steps in _LENGTHS:
        assert any(subject.make().factor(step, steps) > 0 for step in range(steps)), (
            f"{steps} steps at rate 0 teach nothing"
        )
    assert subject.make().decay(0.0) > 0, "decay(0) is 0: nothing is learned at the peak"


def warms_up_evenly(subject: Subject) -> None:
    """With `warmup`, the rate rises from step to step until the warm-up is over."""
    schedule: Schedule = subject.make(warmup=10)
    rising = [schedule.factor(step, 100) for step in range(10)]
    assert rising == sorted(set(rising)), f"the rate does not rise while it warms up: {rising}"


def is_a_function_of_the_step(subject: Subject) -> None:
    """A step's factor is the same however often and in what order it is asked for: a resumed run begins anywhere."""
    schedule: Schedule = subject.make()
    forward = [schedule.factor(step, 50) for step in range(50)]
    backward = [schedule.factor(step, 50) for step in reversed(range(50))][::-1]
    assert forward == backward, "the factor of a step depends on the steps that were asked for before"


CHECKS = (
    stays_between_nothing_and_the_peak,
    trains_at_all,
    warms_up_evenly,
    is_a_function_of_the_step,
)
