"""The top of the report: the main figure beside the baselines, and what deserves attention."""

from __future__ import annotations

from typing import NamedTuple

from hft_core.report.content.figures import Figure
from hft_core.report.content.report import Headline, Report
from hft_core.report.markup import Markup, element, joined
from hft_core.report.numbers import figure, interval
from hft_core.report.svg import Bar, bar_chart

BASELINES = {
    "majority": "Majority class",
    "frequent-set": "Most frequent set of labels",
    "mean": "Mean of the training split",
    "tfidf": "TF-IDF + logistic regression",
    "tfidf-ridge": "TF-IDF + ridge regression",
    "probe": "Frozen model + linear probe",
    "probe-ridge": "Frozen model + ridge regression",
    "plain": "Plain fine-tuning",
    "before": "Before: the model it starts from",
}
"""Titles of the built-in baselines; another name stands for itself."""


class Verdict(NamedTuple):
    """How the model stands against the best baseline."""

    standing: str
    """`above`, `unsettled` (above, but the intervals overlap) or `below`."""
    sentence: str


def main_figures(report: Report) -> tuple[Figure | None, dict[str, Figure]]:
    """Give the headline figure of the model, and of the baselines that have it, by their titles."""
    headline = report["headline"]
    if headline is None:
        return None, {}
    split, metric = headline["split"], headline["metric"]
    baselines = {
        BASELINES.get(name, name): figures[split][metric]
        for name, figures in report["baselines"].items()
        if metric in figures.get(split, {})
    }
    return report["metrics"].get(split, {}).get(metric), baselines


def verdict(headline: Headline, model: Figure, baselines: dict[str, Figure]) -> Verdict | None:
    """Compare the model with the best baseline; None without baselines, and where figures are no numbers."""
    sign = 1 if headline["greater_is_better"] else -1
    known = {name: entry["value"] for name, entry in baselines.items() if entry["value"] is not None}
    if model["value"] is None or not known:
        return None
    name, best = max(known.items(), key=lambda item: sign * item[1])
    lead = sign * (model["value"] - best)
    against = f"the best baseline ({name}, {figure(best)})"
    if lead <= 0:
        return Verdict("below", f"Not better than {against}, which costs far less.")
    sentence = f"Better than {against} by {figure(lead)}"
    apart = _apart(model, baselines[name])
    if apart is None:
        return Verdict("above", f"{sentence}.")
    if apart:
        return Verdict("above", f"{sentence}; their intervals do not overlap.")
    return Verdict("unsettled", f"{sentence}; their intervals overlap, so this does not settle it.")


def _apart(one: Figure, other: Figure) -> bool | None:
    """Whether two intervals have no point in common; None where one of them is missing."""
    if one["low"] is None or one["high"] is None or other["low"] is None or other["high"] is None:
        return None
    return one["low"] > other["high"] or other["low"] > one["high"]


def summary(report: Report) -> Markup:
    """Give the first section's content."""
    parts: list[Markup] = []
    headline = report["headline"]
    model, baselines = main_figures(report)
    if headline is not None and model is not None:
        parts.append(_headline(report, headline, model, baselines))
    if report["warnings"]:
        items = [
            element("li", element("span", "warning", class_="severity warning"), element("span", text))
            for text in report["warnings"]
        ]
        parts.append(element("ul", *items, class_="findings"))
    if not parts:
        parts.append(element("p", "This run was not evaluated on a task; its curves are under Training."))
    return joined(parts)


def _headline(report: Report, headline: Headline, model: Figure, baselines: dict[str, Figure]) -> Markup:
    metric, split = headline["metric"], headline["split"]
    name = f"{metric} on {split}" if headline["greater_is_better"] else f"{metric} on {split} (less is better)"
    seeds = [f"shipped model {figure(model['shipped'])}"] if "shipped" in model else []
    spread = [f"standard deviation over seeds {figure(model['sd'])}"] if "sd" in model else []
    details = ", ".join([interval(model), *spread, *seeds]).lstrip(", ")
    left = [
        element("p", name, class_="figure-name"),
        element("div", figure(model["value"]), class_="big"),
        element("p", details, class_="muted"),
    ]
    if standing := verdict(headline, model, baselines):
        left.append(element("p", standing.sentence, class_=f"verdict {standing.standing}"))
    left.append(element("p", f"Intervals: {report['intervals']}.", class_="muted"))
    bars = [Bar("This model", model, True), *(Bar(title, entry, False) for title, entry in baselines.items())]
    chart = element("figure", element("figcaption", "Beside the baselines"), bar_chart(name, bars))
    return element("div", element("div", *left), chart, class_="columns")
