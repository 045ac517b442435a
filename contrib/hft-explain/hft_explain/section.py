"""What the report shows of explanations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hft_core import Finished, Mark, Passage, Section

if TYPE_CHECKING:
    from hft_explain.export import Explanation
    from hft_explain.plugin import Explain

_HOW = {
    "integrated-gradients": (
        "Integrated gradients divide the difference between the prediction's score and that of the same text with {nothing} "
        "in place of each token"
    ),
    "occlusion": "Occlusion tells what the prediction's score loses when {nothing} takes a token's place",
}
_NOTHING = {"mask": "the mask token", "padding": "the padding token", "zero": "zeros"}
_FAR = 0.05
"""Share of the difference that may be missing from the sum before a reader is told to take more steps."""

_FAINT = 0.1
"""Share of a row's score that has to be moved for the strongest colour."""


def section(settings: Explain, run: Finished, found: Sequence[Explanation], baseline: str) -> Section:
    """Give coloured texts, a table with the scores behind them, and how complete the attributions are."""
    errors = [(one.found.error, one.found.score - one.found.baseline) for one in found if one.found.error is not None]
    completeness = _completeness([error for error, _ in errors], [difference for _, difference in errors])
    said = [
        _HOW[settings.method].format(nothing=_NOTHING[baseline]) + "; the score is "
        + ("the logit." if run.task.target_form == "number" else "the log-odds of what is predicted."),
        f"{len({one.row.number for one in found})} validation rows, evenly spaced."
        if found
        else "Of the rows that were tried nothing is predicted.",
        _said(completeness),
        f"The first {settings.shown} of {len(found)} are shown." if len(found) > settings.shown else "",
    ]  # fmt: skip
    shown = found[: settings.shown]
    return Section(
        title=f"What {run.head} rests on: {settings.method}"
        if run.head != "main"
        else f"What predictions rest on: {settings.method}",
        text=" ".join(filter(None, said)),
        table=[_line(one, run.texts) for one in shown],
        passages=[passage for one in shown for passage in _passages(one)] if run.texts else [],
        data={"method": settings.method, "baseline": baseline, "explanations": len(found), **completeness},
    )


def _completeness(errors: Sequence[float], differences: Sequence[float]) -> dict[str, float]:
    """How far sums of attributions are from what they divide; nothing for a method that promises no sum."""
    if not errors:
        return {}
    total = float(np.abs(differences).sum())
    return {
        "largest_error": float(np.abs(errors).max()),
        "relative_error": float(np.abs(errors).sum()) / total if total else 0.0,
    }


def _said(completeness: dict[str, float]) -> str:
    if not completeness:
        return ""
    relative = completeness["relative_error"]
    more = "; set a larger `steps`" if relative > _FAR else ""
    return f"Their sums miss these differences by {relative:.2%} of them, at most by {completeness['largest_error']:.2g}{more}."


def _line(one: Explanation, texts: bool) -> dict[str, Any]:
    """Give a line of the table; without `texts` nothing that stands in the data."""
    line = {
        "row": one.row.number,
        "explained": one.target.said(texts),
        "score": one.found.score,
        "without": one.found.baseline,
    }
    return line if one.found.error is None else line | {"error": one.found.error}


def _passages(one: Explanation) -> list[Passage]:
    """Give the texts of a row, with the pieces of each as marks; the strongest has weight 1.

    Where nothing counts, as in a text that is scored as one of nothing would be, all stay pale.
    """
    faint = _FAINT * max(abs(one.found.score), abs(one.found.baseline))
    largest = max([faint, *map(abs, one.values)]) or 1.0
    return [
        Passage(
            text=text.trail.original,
            marks=[
                Mark(piece.start, piece.end, value / largest)
                for piece, value in zip(one.pieces, one.values, strict=True)
                if piece.text == number
            ],
            title=_title(one) if number == 0 else text.column,
        )
        for number, text in enumerate(one.row.texts)
    ]


def _title(one: Explanation) -> str:
    label = one.row.truth.get("label")
    wrong = label is not None and label != one.row.prediction.get("label")
    said = f"{one.target.said(texts=True)}{f' (the label is {label})' if wrong else ''}"
    scores = f"score {one.found.score:.2f}, without its words {one.found.baseline:.2f}".replace("-", "−")
    return f"Row {one.row.number}: {said} · {scores}"
