"""Rules on a task's rows: labels that are wrong, texts that are cut, labels that are rare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hft_core.evidence.diagnosis.finding import Finding
from hft_core.evidence.diagnosis.seen import TaskSeen

_NOISE = 0.2
"""Share of wrong rows, among those of which a model is surest, that clean labels do not come to where the model knows
anything: on eight clean data sets of 360 to 1,500 rows it was 2 to 19 %, with 30 % of the labels flipped 32 to 45 %."""
_REFUTED = 0.1
"""Where the trained model's surest validation rows are wrong no more often than this, the labels are fine: hard rows and
wrong labels look alike to a linear model."""
_BETTER = 0.05
"""What a model gains by reading all training rows and not four fifths of them, at most."""
_LOST = 0.1
"""Share of the tokens beyond the longest input from which texts count as cut."""
_RARE = 20
"""How many times as frequent the most frequent label is."""
_FEW = 10
"""Validation rows of a label under which nothing can be said of it."""


def label_noise(task: TaskSeen) -> Iterator[Finding]:
    """Say whether rows are mislabelled in numbers, by the surest rows of models that have not seen them.

    Of the fifth of the rows of which a model is surest nearly all are right where labels are, be the task hard or easy, for
    what is hard is what it is unsure of; wrong labels fall on all rows alike (confident learning, Northcutt et al. 2021).
    """
    doubts = task.doubts
    if doubts is None or not _knows_something(doubts):
        return
    wrong, sure = doubts["sure_wrong"], doubts["sure"]
    if lower_bound(wrong, sure) <= _NOISE or _refuted(task, doubts):
        return
    evidence = (
        f"Of the {sure} training rows of which linear models that have not seen them are surest, {wrong} "
        f"({wrong / sure:.0%}) have another label; of all {doubts['rows']} rows {doubts['wrong'] / doubts['rows']:.0%}."
    )
    seen = next((found for found in task.sure if found), None)
    if seen:
        evidence += (
            f" Of the {seen['sure']} validation rows of which the trained model is surest it takes {seen['sure_wrong']} "
            "for another label than they have."
        )
    advice = (
        "Look at the labels: `hft inspect` lists the doubtful ones, and the cleaner label-noise drops them. Until then smooth "
        "the labels, so that the wrong ones are learnt by heart less."
    )
    yield Finding("label-noise", task.name, evidence, advice, task.objective_with("label_smoothing", 0.1))


def _knows_something(doubts: Mapping[str, Any]) -> bool:
    """Whether linear models agree with labels that they have not seen more often than by chance (as in Cohen's kappa)."""
    return lower_bound(doubts["rows"] - doubts["wrong"], doubts["rows"]) > float(doubts["chance"])


def _refuted(task: TaskSeen, doubts: Mapping[str, Any]) -> bool:
    """Whether the trained model is right on its surest validation rows, and validation has no better labels than train.

    It has where a linear model is right on validation clearly more often than on training rows that it has not seen.
    """
    seen = [found for found in task.sure if found]
    if not seen or min(found["sure_wrong"] / found["sure"] for found in seen) > _REFUTED:
        return False
    held = doubts["validation"]
    return bool(lower_bound(held["right"], held["rows"]) <= 1 - doubts["wrong"] / doubts["rows"] + _BETTER)


def truncated_texts(task: TaskSeen) -> Iterator[Finding]:
    """Say whether a noticeable part of the text is never read."""
    tokens = task.tokens
    if tokens is None or tokens["lost"] < _LOST:
        return
    lengths = tokens["lengths"]
    evidence = (
        f"{tokens['cut']:.0%} of the training rows are longer than the {tokens['limit']} tokens of an input, and "
        f"{tokens['lost']:.0%} of all tokens are never read; half of the rows have up to {lengths['median']:.0f} tokens, 95 % up "
        f"to {lengths['p95']:.0f}."
    )
    if task.longest is None:
        advice = "The recipe sets no shorter limit, so choose a model that reads longer inputs, or shorten the texts."
        yield Finding("truncated-texts", task.name, evidence, advice)
        return
    advice = (
        "Set no `max_length`, so that inputs may be as long as the model takes (at most 512 tokens unless it is set)."
    )
    yield Finding("truncated-texts", task.name, evidence, advice, {"model.max_length": None})


def imbalance(task: TaskSeen) -> Iterator[Finding]:
    """Say whether a label is so rare that the model misses it, or that nobody can tell."""
    if len(task.labels) < 2 or not any(task.pairs):
        return
    (most, many), (least, few) = (pick(task.labels.items(), key=lambda item: item[1]) for pick in (max, min))
    if many < _RARE * few:
        return
    seen, found = _recall(task, least)
    if seen >= _FEW and found >= 0.5 * seen:
        return
    evidence = (
        f"{most} has {many} training rows and {least} has {few}, {many / max(1, few):.0f} : 1; of the {seen} validation rows "
        f"of {least} the model finds {found}."
    )
    advice = (
        f"Collect more rows of {least}, above all for validation; let rare labels weigh more, and choose by macro F1."
    )
    yield Finding("imbalance", task.name, evidence, advice, task.objective_with("class_weights", "balanced"))


def _recall(task: TaskSeen, label: str) -> tuple[int, int]:
    """Validation rows of a label, and how many are found, over all seeds on average."""
    counted = [Counter(pairs.get(label, {})) for pairs in task.pairs]
    seen = sum(counted[0].values())
    return seen, round(sum(counts[label] for counts in counted) / len(counted))


def lower_bound(hits: int, rows: int) -> float:
    """The lower end of Wilson's interval of a share, 95 %."""
    if not rows:
        return 0.0
    z = 1.96
    share = hits / rows
    middle = share + z * z / (2 * rows)
    spread = z * ((share * (1 - share) + z * z / (4 * rows)) / rows) ** 0.5
    return float((middle - spread) / (1 + z * z / rows))
