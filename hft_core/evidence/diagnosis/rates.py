"""Rules on how a stage was trained: the rate, and the number of steps.

All three ask first whether training came to nothing: rows that were trained on are predicted no better than by always saying
the same, or, as the rows of validation, worse than a linear model predicts rows it has never seen; and, but for a rate that is
too high, the loss at the end is no lower than at the start, or than that of a model that knows how frequent the labels are.
What went wrong then shows in how far the weights went from where they started, relative to their size: a rate that is too high
throws them many times that far, one that is too low leaves them where they were. In between lies what fine-tuning (some
hundredths) and training from nothing (about once their size) need; a model that knew something is lost long before its weights
have gone their own size. The idea of judging updates by the size of the weights:
A. Karpathy, A Recipe for Training Neural Networks (2019); Y. You et al., LAMB (2020).

Where a stage trains no task, or a task whose training rows were not predicted (texts are written piece by piece), a loss that
hardly falls proves nothing: that of a known language model begins low. Then only a rate that is too high is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from hft_core.evidence.diagnosis.curves import Curve, curves, entropy, middle, mostly
from hft_core.evidence.diagnosis.finding import Finding
from hft_core.evidence.diagnosis.seen import StageSeen, TaskSeen

FEW_STEPS = 50
"""Steps up to which too few of them are the first thing to blame."""
_ENOUGH_STEPS = 300
"""Steps that the suggestion aims at: fine-tuning on a few hundred rows takes about as many (Mosbach et al. 2021)."""
_NO_GAIN = 0.9
"""Share of the starting loss that is no gain."""
_THROWN = 3.0
"""Distance of the weights from their start, in their own size, that destroys what they were."""
_RISEN = 2.0
"""A loss that rises to so many times where it began was thrown there."""
_LITTLE = 0.05
"""A figure's gain over the same prediction for every row that may be luck, of some hundred rows."""
_STILL, _STILL_KNOWN = 0.1, 0.03
"""Distance of weights that were hardly moved, of new ones and of those that knew something. On SST-2 (1,000 rows, three epochs)
all-MiniLM-L6-v2 learned with rates that moved it by 0.8 to 5 %; where it moved by 0.2 % at most, or by 8 %, it learned nothing.
"""


def of_training(stage: StageSeen, task: TaskSeen | None) -> Iterator[Finding]:
    """Say whether a stage's rate or its number of steps kept it from learning; one finding at most."""
    found = curves(stage)
    if not found:
        return
    if mostly([_destroyed(curve, task) for curve in found]):
        yield _too_high(stage, found)
    elif task is not None and _knows_no_more(task):
        nothing = mostly([learned_nothing(curve, task) for curve in found])
        if stage.steps <= FEW_STEPS and (nothing or below_linear(task)):
            yield _too_few(stage, task, found)
        elif nothing and mostly([curve.moved is None or curve.moved < still(stage) for curve in found]):
            yield _too_low(stage, task, found)
        elif nothing and stage.known:
            yield _too_high(stage, found)


def still(stage: StageSeen) -> float:
    """How far weights go, relative to their size, that are hardly moved."""
    return _STILL_KNOWN if stage.known else _STILL


def _knows_no_more(task: TaskSeen) -> bool:
    """Whether the rows it was trained on are predicted no better than by always saying the same, or than a linear model would."""
    fitted = [value for value in task.fitted if value is not None]
    if not fitted:
        return False
    if task.constant is None:
        return True  # the loss has to tell
    return below_linear(task) or (task.is_share and middle(fitted) - task.constant <= _LITTLE)


def learned_nothing(curve: Curve, task: TaskSeen | None) -> bool:
    """Whether the loss ended no lower than it began, or than that of a model that knows how frequent the labels are."""
    known = entropy(task.labels.values()) if task is not None and task.pairs and task.pairs[0] else None
    return curve.last >= _NO_GAIN * min(curve.first, known if known is not None else curve.first)


def _destroyed(curve: Curve, task: TaskSeen | None) -> bool:
    if curve.highest < _RISEN * curve.first and (curve.moved or 0) < _THROWN:
        return False
    if task is None or task.constant is None or not any(value is not None for value in task.fitted):
        return learned_nothing(curve, task) or curve.last >= curve.first
    return _knows_no_more(task)  # a loss that began near nothing, after a good start, rises and proves nothing


def below_linear(task: TaskSeen) -> bool:
    """Whether the rows it was trained on are predicted worse than a linear model predicts rows it has not seen, and these too.

    The first alone may be the fault of wrong labels in train.
    """
    fitted = [value for value in task.fitted if value is not None]
    if not fitted or not task.linear:
        return False
    sign = 1 if task.greater_is_better else -1
    best = max(sign * value for value in task.linear.values())
    luck = error(task) if task.is_share else 0.0
    return mostly([sign * value < best for value in fitted]) and mostly(
        [sign * value < best - luck for value in task.figures]
    )


def error(task: TaskSeen) -> float:
    """The largest standard error that a share of the validation rows can have."""
    return 0.5 / math.sqrt(max(1, task.rows))


def _moved(found: list[Curve]) -> str:
    moved = [curve.moved for curve in found if curve.moved is not None]
    if not moved:
        return ""
    far = middle(moved)
    return (
        f"The weights went {f'{far:.3g} times' if far >= 1 else f'{far:.2%} of'} their own size from where they began. "
    )


def _losses(found: list[Curve]) -> str:
    return f"the training loss began at {middle([c.first for c in found]):.3g} and ended at {middle([c.last for c in found]):.3g}"


def _too_high(stage: StageSeen, found: list[Curve]) -> Finding:
    highest = middle([curve.highest for curve in found])
    evidence = f"{_moved(found)}In {stage.steps} steps {_losses(found)}, with {highest:.3g} on the way."
    lower = rounded(stage.lr / 10)
    advice = f"Lower the rate from {stage.lr:g} to {lower:g}."
    return Finding("learning-rate-too-high", stage.name, evidence, advice, stage.optimizer_with(lower))


def _too_low(stage: StageSeen, task: TaskSeen, found: list[Curve]) -> Finding:
    evidence = f"{_moved(found)}In {stage.steps} steps {_losses(found)}{compared(task)}."
    higher = rounded(stage.lr * 10)
    advice = f"Raise the rate from {stage.lr:g} to {higher:g}."
    return Finding("learning-rate-too-low", stage.name, evidence, advice, stage.optimizer_with(higher))


def _too_few(stage: StageSeen, task: TaskSeen, found: list[Curve]) -> Finding:
    epochs = max(1, round(stage.epochs * _ENOUGH_STEPS / stage.steps))
    steps = "step" if stage.steps == 1 else "steps"
    evidence = f"In {stage.steps} {steps} {_losses(found)}{compared(task)}."
    advice = (
        f"Train for {epochs} epochs, about {round(epochs * stage.steps / stage.epochs)} steps, or with a smaller batch."
    )
    return Finding("too-few-steps", stage.name, evidence, advice, {f"stages.{stage.index}.epochs": epochs})


def compared(task: TaskSeen) -> str:
    """The end of a sentence: the figure on training rows beside the best linear model's on validation."""
    fitted = [value for value in task.fitted if value is not None]
    if not fitted:
        return ""
    said = f"; {task.metric} on training rows is {middle(fitted):.3g}"
    if not task.linear:
        return said
    name, best = (max if task.greater_is_better else min)(task.linear.items(), key=lambda item: item[1])
    return f"{said}, where a linear model ({name}) has {best:.3g} on validation"


def rounded(value: float) -> float:
    """Two digits are enough of a rate."""
    return float(f"{value:.2g}")
