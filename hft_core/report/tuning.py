"""The part of the report about tuning: what was seen, what was changed, what it gave, and what stayed."""

from __future__ import annotations

from collections.abc import Sequence

from hft_core.report.content.tuning import TuningContent
from hft_core.report.evidence import GATE_HEADS, gate_notes, gate_row
from hft_core.report.markup import Child, Markup, element, joined
from hft_core.report.numbers import count, duration, figure
from hft_core.report.tables import table

_ENDED = {
    "budget": "The budget ended it; with a larger one the same command goes on.",
    "nothing left": "Nothing was left to try.",
    "": "It is still going on.",
}


def tuning(content: TuningContent) -> Markup:
    """Give the whole part."""
    heads = ("", "change", *GATE_HEADS[1:])
    kinds = ("number", "text", "number", "number", "number", "short", "short")
    rows: list[Sequence[Child]] = [(number, *gate_row(one["gate"])) for number, one in enumerate(content["rounds"], 1)]
    return joined(
        [
            element("p", outcome(content), " ", _ENDED.get(content["ended"], "")),
            element("p", basis(content), class_="muted"),
            table(heads, kinds, rows) if rows else None,
            element("h3", "What was seen") if rows else None,
            element("ol", *(element("li", _seen(content, number)) for number in range(len(rows)))) if rows else None,
        ]
    )


def outcome(content: TuningContent) -> str:
    """What came of it, in a sentence."""
    rounds = content["rounds"]
    kept = sum(one["gate"]["kept"] for one in rounds)
    changes = "change" if len(rounds) == 1 else "changes"
    return (
        f"{kept} of {len(rounds)} {changes} stayed; {content['metric']} {measured_on(content['folds'])} "
        f"{_mean(content['start'])} → {_mean(content['end'])}."
    )


def measured_on(folds: bool) -> str:
    """Where figures are from."""
    return "by cross-validation" if folds else "on validation"


def basis(content: TuningContent) -> str:
    """In words how changes were compared, and what that is worth."""
    over = (
        f"by cross-validation over train and validation ({count(content['rows'])} rows of validation are few), fold i with seed i"
        if content["folds"]
        else f"on the same {count(content['rows'])} rows of validation with the same {content['seeds']} seeds"
    )
    return (
        f"Each change is compared with the recipe as it was then, {over}; it stays if it helps at 2.5 % (one-sided), so of 40 "
        "useless ones one stays by luck. One that does harm, or nothing, with the seed that was worst is given up. All were "
        "chosen by the same validation, so the figure there is a little too good; the test took no part. "
        f"{count(content['runs'])} runs, {duration(content['seconds'])}."
    )


def _seen(content: TuningContent, number: int) -> Markup:
    one = content["rounds"][number]
    given_up = " Given up after the seed that was worst before." if one["runs"] == 1 and content["seeds"] > 1 else ""
    notes = gate_notes(one["gate"])
    words = one["name"].replace("-", " ").capitalize()
    return joined([element("b", words), f" ({one['where']}): {one['seen']}{given_up} {notes}"])


def _mean(values: Sequence[float] | None) -> str:
    return figure(sum(values) / len(values)) if values else "–"
