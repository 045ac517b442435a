"""The part of the report about training: each stage with its curves."""

from __future__ import annotations

from hft_core.report.content.report import Report
from hft_core.report.content.training import Stage
from hft_core.report.markup import Markup, element, joined
from hft_core.report.numbers import count, duration, figure
from hft_core.report.svg import Series, line_chart


def training(report: Report) -> Markup:
    """Give each stage's facts, notes and curves."""
    return joined(_stage(stage) for stage in report["stages"])


def _stage(stage: Stage) -> Markup:
    facts = f"{stage['kind']}, {count(stage['steps'])} steps, {duration(stage['seconds'])}"
    parts = [element("h3", stage["name"]), element("p", facts, class_="muted")]
    if stage["notes"]:
        parts.append(element("ul", *(element("li", note) for note in stage["notes"])))
    for entry in stage.get("perplexity", []):
        said = (
            f"Perplexity of {entry['objective']} on held-out text: {figure(entry['before'])} before the stage, "
            f"{figure(entry['after'])} after step {count(entry['step'])}."
        )
        parts.append(element("p", said))
    charts = [element("figure", element("figcaption", caption), chart) for caption, chart in _charts(stage) if chart]
    if charts:
        parts.append(element("div", *charts, class_="charts"))
    return joined(parts)


def _charts(stage: Stage) -> list[tuple[str, Markup]]:
    """Give the charts: losses together, then the metrics on validation, then the learning rate."""
    curves = stage["curves"]
    names = list(dict.fromkeys(name for point in curves for name in point.get("validation", {})))
    measured = {
        name: Series(
            f"validation {name}",
            [(p["step"], p["validation"][name]) for p in curves if p.get("validation", {}).get(name) is not None],
        )
        for name in names
    }
    trained = list(dict.fromkeys(name for point in curves for name in point.get("losses", {})))
    losses = [
        Series(
            f"training loss of {name}" if len(trained) > 1 else "training loss",
            [(p["step"], p["losses"][name]) for p in curves if p.get("losses", {}).get(name) is not None],
        )
        for name in trained
    ]
    losses += [measured[name] for name in names if name == "loss"]
    figures = [measured[name] for name in names if name != "loss"]
    rates = [Series("learning rate", [(p["step"], p["lr"]) for p in curves if "lr" in p])]
    return [
        ("Loss", line_chart(f"Loss of stage {stage['name']}", "step", losses)),
        ("Validation", line_chart(f"Validation figures of stage {stage['name']}", "step", figures)),
        ("Learning rate", line_chart(f"Learning rate of stage {stage['name']}", "step", rates)),
    ]
