"""Rules on what came of training: over-fitting, under-fitting, one class for all, seeds that disagree.

They are symptoms: each is asked only where no cause was found that explains it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hft_core.evidence.diagnosis.curves import Curve, curves, middle, mostly, validations
from hft_core.evidence.diagnosis.finding import Finding
from hft_core.evidence.diagnosis.rates import below_linear, compared, error, learned_nothing, rounded
from hft_core.evidence.diagnosis.seen import StageSeen, TaskSeen

_CLEAR = 3.0
"""Standard errors from which a difference on validation is no luck."""
_FAR = 1.0
"""Distance of the weights from their start, in their own size."""


def one_class(task: TaskSeen, stage: StageSeen) -> Iterator[Finding]:
    """Say whether the model gives every row the same label."""
    alone = [_told(pairs) for pairs in task.pairs if len(pairs) > 1 and len(_told(pairs)) == 1]
    if not alone or 2 * len(alone) <= len(task.pairs):
        return
    evidence = f"All {task.rows} validation rows are given the label {next(iter(alone[0]))}, though they have several."
    still = mostly([_stood_still(curve, task) for curve in curves(stage)])
    rate = rounded(stage.lr * 3 if still else stage.lr / 3)
    advice = f"{'Raise' if still else 'Lower'} the rate from {stage.lr:g} to {rate:g}; look at the balance of the labels too."
    yield Finding("one-class", task.name, evidence, advice, stage.optimizer_with(rate))


def _stood_still(curve: Curve, task: TaskSeen) -> bool:
    """Whether nothing was learned, and the weights went less far than training from nothing takes them."""
    return learned_nothing(curve, task) and curve.moved is not None and curve.moved < _FAR


def _told(pairs: Mapping[str, Mapping[str, int]]) -> set[str]:
    return {told for counts in pairs.values() for told in counts}


def over_fitting(task: TaskSeen, stage: StageSeen) -> Iterator[Finding]:
    """Say whether the figure on validation fell again for good, or whether rows were learnt by heart and little else."""
    if not task.is_share:
        return
    ends = [_fall(history, task) for history in stage.histories]
    falls = [fall for fall in ends if fall is not None]
    if falls and mostly([fall is not None for fall in ends]):
        epoch, best, last = falls[0]
        evidence = (
            f"{task.metric} on validation was {best:.3g} after epoch {epoch:g}, and {last:.3g} on average in the last third "
            "of the validations."
        )
        epochs = max(1, math.ceil(epoch))
        advice = f"Train for {epochs} epochs: what came later did harm, and the best epoch is what was kept."
        yield Finding("over-fitting", task.name, evidence, advice, {f"stages.{stage.index}.epochs": epochs})
        return
    fitted = [value for value in task.fitted if value is not None]
    if not fitted or not task.linear:
        return
    best_linear = max(task.linear.values())
    lag = best_linear - middle(task.figures)
    if lag > _CLEAR * 2**0.5 * error(task) and middle(fitted) > best_linear:
        evidence = f"{task.metric} is {middle(task.figures):.3g} on validation{compared(task)}."
        fewer = max(1, round(stage.epochs / 2))
        advice = (
            "The rows were learnt by heart. Pre-train on more text of the kind, take a pretrained model, or train less."
        )
        yield Finding("over-fitting", task.name, evidence, advice, {f"stages.{stage.index}.epochs": fewer})


def _fall(history: Sequence[Mapping[str, Any]], task: TaskSeen) -> tuple[float, float, float] | None:
    """The epoch of the best figure, that figure, and the mean of the last third, if that is clearly worse."""
    measured = validations(history, task.metric)
    if len(measured) < 3:
        return None
    epoch, best = max(measured, key=lambda item: item[1])
    tail = [value for _, value in measured[-(len(measured) // 3) :]]
    last = sum(tail) / len(tail)
    return (epoch, best, last) if best - last > _CLEAR * error(task) else None


def under_fitting(task: TaskSeen, stage: StageSeen) -> Iterator[Finding]:
    """Say whether even the rows that it was trained on are predicted worse than a linear model predicts others."""
    if not below_linear(task):
        return
    more = max(2, round(2 * stage.epochs))
    evidence = f"{task.metric} is {middle(task.figures):.3g} on validation{compared(task)}."
    advice = f"Train for longer ({more} epochs), with a higher rate, or take a larger or pretrained model."
    yield Finding("under-fitting", task.name, evidence, advice, {f"stages.{stage.index}.epochs": more})


def unstable(task: TaskSeen, stage: StageSeen) -> Iterator[Finding]:
    """Say whether some seeds fail where others succeed.

    A seed fails that keeps less than half of what the best one gains over predicting the same for every row; runs that end
    there are what makes small fine-tuning unstable (Dodge et al. 2020; Mosbach, Andriushchenko, Klakow 2021).
    """
    if len(task.figures) < 2 or task.constant is None or not task.is_share:
        return
    gains = [figure - task.constant for figure in task.figures]
    failed = [place for place, gain in enumerate(gains) if gain < max(gains) / 2]
    if not failed or max(gains) <= _CLEAR * error(task):
        return
    figures = ", ".join(f"{figure:.3g}" for figure in task.figures)
    evidence = (
        f"{len(failed)} of {len(gains)} seeds gain less than half of what the best one does over the same prediction for every "
        f"row ({task.metric} {task.constant:.3g}): {figures}."
    )
    lower = rounded(stage.lr / 2)
    longer = max(2, round(2 * stage.epochs))
    advice = f"Lower the rate from {stage.lr:g} to {lower:g}, and train for longer ({longer} epochs)."
    changes = stage.optimizer_with(lower) | {f"stages.{stage.index}.epochs": longer}
    yield Finding("unstable-seeds", task.name, evidence, advice, changes)
