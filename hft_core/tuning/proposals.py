"""What to change next: what a diagnosis suggests, then the usual steps of the stage that trains the task.

The steps change the rate by half a power of ten (by one or two where nothing was learned), double the epochs, halve the batch.
Which comes first is read off the curves: where the figure on validation was best at the end, training did too little; where it
was best long before, too much; and where nothing was learned, how far the weights went tells which way the rate is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hft_core.evidence.diagnosis import Finding, Seen, StageSeen, TaskSeen
from hft_core.evidence.diagnosis.curves import curves, middle, mostly, validations
from hft_core.evidence.diagnosis.rates import error, rounded, still
from hft_core.recipe.model import Stage

HIGHER, LOWER, LONGER, SMALLER = "higher-rate", "lower-rate", "more-epochs", "smaller-batch"
_UPWARD = {HIGHER, "learning-rate-too-low"}
_DOWNWARD = {LOWER, "learning-rate-too-high", "diverged", "one-class", "unstable-seeds"}
_SMALLEST = 4
"""Rows of a batch that is not halved any more."""

_Step = tuple[str, float]
"""A step and, for a rate, the power of ten that it goes."""
_TOO_LITTLE: list[_Step] = [(HIGHER, 0.5), (LONGER, 0), (LOWER, 0.5), (SMALLER, 0)]
_TOO_MUCH: list[_Step] = [(LOWER, 0.5), (HIGHER, 0.5), (LONGER, 0), (SMALLER, 0)]
_STAYED: list[_Step] = [(HIGHER, 1), (HIGHER, 2), (LONGER, 0), (LOWER, 1), (SMALLER, 0)]
"""Nothing was learned, and the weights are nearly where they began."""
_LOST: list[_Step] = [(LOWER, 1), (LOWER, 2), (LONGER, 0), (HIGHER, 1), (SMALLER, 0)]
"""Nothing was learned, and the weights went far."""


@dataclass(frozen=True)
class Proposal:
    """One change of the recipe, and why."""

    name: str
    """That of the finding, or of the step, such as `higher-rate`; `diverged` where training gave no numbers."""
    where: str
    """The stage or the task that it is about."""
    seen: str
    """The evidence, without any text of the data."""
    changes: Mapping[str, Any]
    """New values by their places in the recipe."""


def proposals(findings: Sequence[Finding], seen: Seen, settings: Stage, kept: Sequence[str]) -> Iterator[Proposal]:
    """Give what may be tried, the most promising first.

    `settings` are those of the stage that trains the task, and `kept` names the proposals that were kept so far, the last one
    last: a step that helped is tried again, and a rate that was raised is not lowered again.
    """
    for found in findings:
        if found.changes:
            yield Proposal(found.name, found.where, found.evidence, found.changes)
    task = seen.tasks[0]
    if task.stage is None:
        return
    stage = seen.stages[task.stage]
    steps, evidence = _usual(stage, task)
    barred = {HIGHER} if _DOWNWARD & {*kept} else {LOWER} if _UPWARD & {*kept} else set()
    for name, power in sorted(steps, key=lambda step: step[0] not in kept[-1:]):
        if name not in barred and (changes := _changes(name, power, stage, settings)):
            yield Proposal(name, stage.name, evidence, changes)


def _changes(name: str, power: float, stage: StageSeen, settings: Stage) -> dict[str, Any]:
    """The change that a step makes; empty where there is none."""
    if name in (HIGHER, LOWER):
        return stage.optimizer_with(rounded(stage.lr * 10 ** (power if name == HIGHER else -power)))
    if name == LONGER:  # where a stage ends by itself, more epochs are none
        return {f"stages.{stage.index}.epochs": max(2, round(2 * stage.epochs))} if not settings.early_stopping else {}
    half = settings.batch_size // 2
    return {f"stages.{stage.index}.batch_size": half} if settings.batch_size > _SMALLEST else {}


def _usual(stage: StageSeen, task: TaskSeen) -> tuple[list[_Step], str]:
    """The usual steps, the most promising one first, and what was seen that says so."""
    figure = middle(task.figures)
    if task.constant is not None and task.is_share and figure - task.constant <= error(task):
        moved = [curve.moved for curve in curves(stage) if curve.moved is not None]
        far = f"; the weights went {middle(moved):.2%} of their own size from where they began" if moved else ""
        return (
            _STAYED if not moved or middle(moved) < still(stage) else _LOST,
            f"{task.metric} is {figure:.3g} on validation, where the same prediction for every row has "
            f"{task.constant:.3g}{far}.",
        )
    measured = [found for history in stage.histories if (found := validations(history, task.metric))]
    if not measured:
        return _TOO_LITTLE, f"{task.metric} is {figure:.3g} on validation."
    sign = 1 if task.greater_is_better else -1
    bests = [max(found, key=lambda point: sign * point[1]) for found in measured]  # of equals the first, as it was kept
    at_the_end = mostly([best[0] >= found[-1][0] for best, found in zip(bests, measured, strict=True)])
    epoch, best = (middle([point[place] for point in bests]) for place in (0, 1))
    return (
        _TOO_LITTLE if at_the_end else _TOO_MUCH,
        f"{task.metric} on validation was best after epoch {epoch:g} of {stage.epochs:g} ({best:.3g}).",
    )
