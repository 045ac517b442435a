"""The part of the report about scores: whether they say how often they are right, and how well they rank."""

from __future__ import annotations

from collections.abc import Sequence

from hft_core.report.content.figures import Calibration, Figure, Ranked, Ranking, Scores
from hft_core.report.markup import Markup, element, joined
from hft_core.report.numbers import count, figure
from hft_core.report.svg import Series, unit_chart
from hft_core.report.tables import figure_cell, table


def scores_section(scores: Scores, of: str) -> Markup:
    """Give calibration and ranking of one task's scores; `of` says whose they are, for the headings."""
    parts = [element("h3", f"Calibration {of}"), _calibration(scores)]
    if scores["ranking"]["classes"]:
        parts += [element("h3", f"Ranking {of}"), _ranking(scores)]
    return joined(parts)


def temperature_sentence(scores: Scores) -> str:
    """Say what was done to make scores honest."""
    if "temperature" not in scores:
        return "The task fits no temperature."
    if "uncalibrated" in scores:
        return f"The temperature is 1, so scores are as the model gives them: {scores['uncalibrated']}."
    value = figure(scores["temperature"])
    fitted = f"Scores are those at the temperature {value}, fitted on validation and shipped in the bundle"
    flatters = ", so the figures here, of the same rows, flatter it" if scores["split"] == "validation" else ""
    return f"{fitted}{flatters}. It changes how sure a prediction is, not which label is likeliest; thresholds mean these scores."


def error_sentence(found: Calibration) -> str:
    """Say what the calibration error amounts to."""
    within = found["ece"] <= found["by_chance"]
    stands = "no more than chance would show" if within else "more than chance would show"
    return (
        f"Expected calibration error {figure(found['ece'])}: {stands} of a model that is calibrated perfectly "
        f"(up to {figure(found['by_chance'])} on these rows)."
    )


def ranked_figures(found: Ranked | Ranking) -> tuple[Figure | None, Figure | None]:
    """ROC AUC and average precision of a label, or their means, with their intervals; None where they cannot be."""
    intervals = found.get("intervals", {})
    return (
        _with_interval(found["roc_auc"], intervals.get("roc_auc")),
        _with_interval(found["average_precision"], intervals.get("average_precision")),
    )


def _with_interval(value: float | None, interval: Sequence[float] | None) -> Figure | None:
    low, high = interval or (None, None)
    return None if value is None else Figure(value=value, low=low, high=high)


def _calibration(scores: Scores) -> Markup:
    found, before = scores["calibration"], scores["untuned"]
    heads, kinds = ["", "ECE", "Brier score", "log loss"], ["short", "number", "number", "number"]
    rows = [_figures("as shipped", found)] + ([_figures("without the temperature", before)] if before else [])
    said = [element("p", error_sentence(found)), element("p", temperature_sentence(scores), class_="muted")]
    what = "labels" if scores["form"] == "labels" else "predictions"
    lines = [Series("as shipped" if before else "the model", _points(found))]
    lines += [Series("without the temperature", _points(before))] if before else []
    shares = [_shares(each) for each in (found, before) if each]
    chart = unit_chart("Reliability", f"score of {what}", "share that is right", lines, diagonal=True, shares=shares)
    caption = element(
        "figcaption",
        "Reliability: on the dashed line scores are honest; below it they promise too much. Larger dots: more rows.",
    )
    note = "15 bins of equal width by score. Brier score: 0 is best" + (
        ", 2 worst." if scores["form"] == "label" else ", 1 worst; mean over labels."
    )
    left = element("div", *said, table(heads, kinds, rows), element("p", note, class_="muted"))
    return element("div", left, element("figure", caption, chart), class_="columns")


def _figures(title: str, found: Calibration) -> tuple[str, str, Markup, Markup]:
    return (title, figure(found["ece"]), figure_cell(found["brier"]), figure_cell(found["log_loss"]))


def _shares(found: Calibration) -> list[float]:
    """The share of all answers that each bin has."""
    answers = sum(one["rows"] for one in found["bins"])
    return [one["rows"] / answers for one in found["bins"]]


def _points(found: Calibration) -> list[tuple[float, float]]:
    return [(one["score"], one["right"]) for one in found["bins"]]


def _ranking(scores: Scores) -> Markup:
    ranking = scores["ranking"]
    drawn = [entry for entry in ranking["classes"] if "roc" in entry]
    if len(ranking["classes"]) == 2 and scores["form"] == "label":
        drawn = drawn[1:]  # the other label's curve is this one turned round
    rows = [
        (entry["label"], *map(figure_cell, ranked_figures(entry)), count(entry["rows"])) for entry in ranking["classes"]
    ]
    rows.append(("mean", *map(figure_cell, ranked_figures(ranking)), count(scores["rows"])))
    heads, kinds = ("class", "ROC AUC", "average precision", "rows"), ("short", "number", "number", "number")
    charts = [
        (
            "ROC",
            unit_chart(
                "ROC curves", "false positive rate", "true positive rate",
                [Series(entry["label"], entry["roc"]) for entry in drawn], diagonal=True,
            ),
        ),
        (
            "Precision and recall",
            unit_chart(
                "Precision and recall", "recall", "precision", [Series(entry["label"], entry["pr"]) for entry in drawn],
                diagonal=False,
            ),
        ),
    ]  # fmt: skip
    left_out = ranking["labels"] - len(ranking["classes"])
    note = "Each class against the rest, by its score." + (
        f" The {count(left_out)} classes with fewest rows are left out." if left_out else ""
    )
    whose = f" of {drawn[0]['label']}" if len(drawn) == 1 else ""
    figures = [element("figure", element("figcaption", caption + whose), chart) for caption, chart in charts if chart]
    return joined(
        [element("p", note, class_="muted"), table(heads, kinds, rows), element("div", *figures, class_="charts")]
    )
