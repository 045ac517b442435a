"""The part of the report about a search: its history, what its fields are worth, its trials side by side, its cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hft_core.recipe.words import shown_value
from hft_core.report.content.search import SearchContent, Trial
from hft_core.report.markup import Child, Markup, element, joined
from hft_core.report.numbers import count, difference, duration, figure, share
from hft_core.report.svg import Axis, Path, Series, line_chart, parallel_coordinates
from hft_core.report.tables import table

_SHOWN = 100
"""Rows of the table of trials; search.json has all."""


def search(content: SearchContent) -> Markup:
    """Give the whole part."""
    charts = [
        element("figure", element("figcaption", caption), chart)
        for caption, chart in (("History", _history(content)), ("Epoch by epoch", _curves(content)))
        if chart
    ]
    side_by_side = _parallel(content)
    return joined(
        [
            element("p", _found(content)),
            element("p", _cost(content), class_="muted"),
            element("div", *charts, class_="charts") if charts else None,
            _importance(content),
            element("h3", "Trials side by side") if side_by_side else None,
            element("div", side_by_side, class_="scroll", tabindex=0) if side_by_side else None,
            element("h3", "Trials"),
            _trials(content),
        ]
    )


def _found(content: SearchContent) -> str:
    complete = [trial for trial in content["trials"] if trial["figure"] is not None]
    best = _best(content)
    if best is None:
        return "No trial has come to a figure so far."
    said = (
        f"Trial {best['number']} is the best of {len(content['trials'])}: {content['metric']} {figure(best['figure'])} "
        "on validation."
    )
    if content["written"] is not None and best["number"] and best["figure"] is not None:
        gain = difference(best["figure"] - content["written"])
        said += f" The recipe as written, trial 0, had {figure(content['written'])} ({gain})."
    of_rows = f" of {count(content['rows'])} rows" if content["rows"] else ""
    return (
        f"{said} It is the best of {len(complete)} complete ones on the same validation{of_rows}, so its own figure there is "
        "a little too good; the test has taken no part in the choice."
    )


def _cost(content: SearchContent) -> str:
    states = [trial["state"] for trial in content["trials"]]
    parts = [f"{states.count('complete')} trials complete"]
    for state, words in (
        ("pruned", "ended early"),
        ("bad", "came to no figure"),
        ("failed", "failed"),
        ("running", "under way"),
        ("waiting", "waiting"),
    ):
        if states.count(state):
            parts.append(f"{states.count(state)} {words}")
    cost = content["cost"]
    said = (
        f"{', '.join(parts)}. Together they took {duration(cost['seconds'])} ({duration(cost['cpu_seconds'])} of processor "
        "time)"
    )
    if cost["stages"] > cost["trained"]:
        said += (
            f"; of the {count(cost['stages'])} stages of the complete ones {count(cost['stages'] - cost['trained'])} were in "
            "the store already"
        )
    return f"{said}. The study {content['study']!r} lies in {content['storage']}."


def _history(content: SearchContent) -> Markup:
    """Each trial's figure, and the best one so far."""
    better = max if content["greater_is_better"] else min
    each = [(trial["number"], trial["figure"]) for trial in content["trials"] if trial["figure"] is not None]
    best: list[tuple[float, float]] = []
    for number, value in each:
        best.append((number, better(value, best[-1][1]) if best else value))
    series = [Series("best so far", best), Series("trial", each)]
    return line_chart(f"{content['metric']} of each trial", "trial", series) if len(each) > 1 else Markup("")


def _curves(content: SearchContent) -> Markup:
    """The best trial epoch by epoch, the recipe as written, and one that was ended early."""
    best = _best(content)
    chosen = [("the best", best)] if best else []
    if content["written"] is not None and best and best["number"]:
        chosen.append(("as written", content["trials"][0]))
    pruned = [trial for trial in content["trials"] if trial["state"] == "pruned" and len(trial["curve"]) > 1]
    chosen += [("ended early", trial) for trial in pruned[-1:]]
    series = [
        Series(name, [(epoch, value) for epoch, value in trial["curve"] if value is not None])
        for name, trial in chosen
        if len(trial["curve"]) > 1
    ]
    return line_chart(f"{content['metric']} epoch by epoch", "epoch", series) if series else Markup("")


def _importance(content: SearchContent) -> Markup | None:
    if not content["importance"]:
        return None
    rows: list[Sequence[Child]] = [
        (path, share(value), element("meter", min=0, max=1, value=f"{value:.3f}"))
        for path, value in sorted(content["importance"].items(), key=lambda item: -item[1])
    ]
    words = "How much of what tells good trials from the others lies in each field (PED-ANOVA); with few trials a rough guess."
    return joined(
        [
            element("h3", "What matters"),
            element("p", words, class_="muted"),
            table(("field", "share", ""), ("short", "number", "short"), rows),
        ]
    )


def _parallel(content: SearchContent) -> Markup:
    """All fields and the figure as axes, each trial a line: the darker, the better."""
    trials = [trial for trial in content["trials"] if trial["figure"] is not None]
    figures = [trial["figure"] for trial in trials if trial["figure"] is not None]
    if len(figures) < 2:
        return Markup("")
    low, high = min(figures), max(figures)
    scales = [_scale(space) for space in content["space"].values()]
    axes = [Axis(_tail(path), _ticks(space)) for path, space in content["space"].items()]
    axes.append(Axis(content["metric"], [(0.0, figure(low)), (1.0, figure(high))]))
    paths = []
    for trial in trials:
        level = 0.5 if low == high else ((trial["figure"] or 0.0) - low) / (high - low)
        heights = [scale(trial["values"].get(path)) for path, scale in zip(content["space"], scales, strict=True)]
        shade = level if content["greater_is_better"] else 1 - level
        paths.append(Path([*heights, level], shade, trial["number"] == content["best"]))
    return parallel_coordinates("Trials side by side", axes, paths)


def _scale(space: dict[str, Any]) -> Any:
    """A function from a field's values to heights."""
    choices = space.get("choices")
    if choices is not None:
        return lambda value: (choices.index(value) + 0.5) / len(choices) if value in choices else None
    low, high = space["low"], space["high"]
    if space.get("log"):
        return lambda value: math.log(value / low) / math.log(high / low)
    return lambda value: (value - low) / (high - low)


def _ticks(space: dict[str, Any]) -> list[tuple[float, str]]:
    choices = space.get("choices")
    if choices is not None:
        return [((place + 0.5) / len(choices), _shown(choice)) for place, choice in enumerate(choices)]
    return [(0.0, _shown(space["low"])), (1.0, _shown(space["high"]))]


def _trials(content: SearchContent) -> Markup:
    """The trials, the best ones first."""
    sign = -1 if content["greater_is_better"] else 1
    ordered = sorted(
        content["trials"],
        key=lambda trial: (trial["figure"] is None, sign * (trial["figure"] or 0.0), trial["number"]),
    )
    paths = list(content["space"])
    rows: list[Sequence[Child]] = [
        (
            trial["number"],
            figure(trial["figure"]),
            *(_shown(trial["values"].get(path)) for path in paths),
            _state(trial),
            duration(trial["seconds"]) if "seconds" in trial else "–",
        )
        for trial in ordered[:_SHOWN]
    ]
    heads = ("trial", content["metric"], *map(_tail, paths), "", "took")
    return table(heads, ("number", "number", *("short" for _ in paths), "text", "number"), rows)


def _state(trial: Trial) -> str:
    if trial["state"] == "pruned":
        return f"ended after epoch {max((epoch for epoch, _ in trial['curve']), default=0)}"
    if "reason" in trial:
        return f"{trial['state']}: {trial['reason'].splitlines()[0]}"
    return "" if trial["state"] == "complete" else trial["state"]


def _best(content: SearchContent) -> Trial | None:
    return next((trial for trial in content["trials"] if trial["number"] == content["best"]), None)


def _tail(path: str) -> str:
    """The end of a field's place, which tells it apart for people."""
    return ".".join(path.split(".")[-2:])


def _shown(value: Any) -> str:
    return "–" if value is None else shown_value(value)
