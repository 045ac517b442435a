"""The part of the report about figures: all of them, each class, confusions and errors."""

from __future__ import annotations

from collections.abc import Sequence

from hft_core.report.content.evaluation import Confused, Confusion, Details
from hft_core.report.content.report import Report
from hft_core.report.markup import Markup, element, joined, shortened
from hft_core.report.numbers import count, figure, share
from hft_core.report.scores import scores_section
from hft_core.report.summary import BASELINES
from hft_core.report.svg import heat_map
from hft_core.report.tables import figure_cell, table


def results(report: Report) -> Markup:
    """Give figures by split beside the baselines, then classes and confusions."""
    parts = [_split(report, split) for split in report["metrics"]]
    if report["headline"]:
        parts.append(_classes(report, f"on {report['headline']['split']}"))
        parts.append(_slices(report))
    parts += [_classes(other, f"of {other['task']} on {other['split']}") for other in report["other_tasks"]]
    return joined(parts)


def _classes(details: Details, of: str) -> Markup:
    """Give each class's figures, and which were taken for which."""
    parts: list[Markup] = []
    if details["per_class"]:
        rows = [
            (entry["label"], *(figure(entry[key]) for key in ("precision", "recall", "f1")), count(entry["support"]))
            for entry in details["per_class"]
        ]
        heads = ("class", "precision", "recall", "F1", "rows")
        parts.append(element("h3", f"Classes {of}"))
        parts.append(table(heads, ("short", "number", "number", "number", "number"), rows))
    if details["confusion"]:
        parts.append(element("h3", f"Confusions {of}"))
        parts.append(_confusion(details["confusion"]))
    if scores := details.get("scores"):
        parts.append(scores_section(scores, of))
    return joined(parts)


def _slices(report: Report) -> Markup:
    """Give the deciding figure on parts of the rows, marked where chance does not explain the difference."""
    headline, slices = report["headline"], report.get("slices")
    if not slices or headline is None:
        return Markup("")
    rows = [
        (
            one["by"],
            element("span", shortened(one["value"], 40), _apart(one["apart"])),
            count(one["rows"]),
            figure_cell(one["figure"]),
            figure(one["rest"]),
        )
        for one in slices
    ]
    heads = ("by", "value", "rows", headline["metric"], "the others")
    note = (
        "Of the model that ships. Marked is what is farther from the rest than random parts of as many rows are (permutation "
        "test at 5 %, corrected for all slices by Holm's method; from 20 rows on)."
    )
    return joined(
        [
            element("h3", f"Slices on {headline['split']}"),
            element("p", note, class_="muted"),
            table(heads, ("short", "short", "number", "number", "number"), rows),
        ]
    )


def _apart(differs: bool) -> Markup | None:
    return element("span", "differs from the rest", class_="severity warning interval") if differs else None


def errors(report: Report) -> Markup:
    """Give the wrong predictions of which the model was surest, for each task."""
    parts = [_errors(report)] if report["errors"] else []
    for other in report["other_tasks"]:
        if other["errors"]:
            parts += [element("h3", f"{other['task']} on {other['split']}"), _errors(other)]
    return joined(parts)


def _errors(details: Details) -> Markup:
    scored = any(entry["score"] is not None for entry in details["errors"])
    heads, kinds = ("text", "truth", "predicted"), ("text", "short", "short") if scored else ("text", "text", "text")
    rows = [
        (
            shortened(entry["text"], 400),
            entry["truth"],
            entry["predicted"],
            *([figure(entry["score"])] if scored else []),
        )
        for entry in details["errors"]
    ]
    if not scored:
        note = element("p", "Rows with a wrong prediction; numbers that are farthest off first.", class_="muted")
        return joined([note, table(heads, kinds, rows)])
    note = element(
        "p", "Wrong predictions, the surest first: many of them are wrong or doubtful labels.", class_="muted"
    )
    return joined([note, table((*heads, "score"), (*kinds, "number"), rows)])


def _split(report: Report, split: str) -> Markup:
    """Give the figures of one split, model and baselines side by side; details (``f1[label]``) folded away."""
    figures = report["metrics"][split]
    baselines = {name: by_split.get(split, {}) for name, by_split in report["baselines"].items()}
    baselines = {name: entries for name, entries in baselines.items() if entries}
    heads = ("metric", "this model", *(BASELINES.get(name, name) for name in baselines))
    kinds = ("short", *["number"] * (1 + len(baselines)))

    def rows(names: list[str]) -> list[tuple[str, ...]]:
        return [
            (name, figure_cell(figures[name]), *(figure_cell(entries.get(name)) for entries in baselines.values()))
            for name in names
        ]

    details = [name for name in figures if "[" in name]
    parts = [
        element("h3", split[:1].upper() + split[1:]),
        table(heads, kinds, rows([n for n in figures if "[" not in n])),
    ]
    if details:
        folded = table(heads, kinds, rows(details))
        parts.append(element("details", element("summary", f"{len(details)} further figures"), folded))
    return joined(parts)


def _confusion(confusion: Confusion) -> Markup:
    """Give the heat map and the most frequent confusions in words."""
    labels, matrix = confusion["labels"], confusion["matrix"]
    worst = confusion.get("worst") or _worst(labels, matrix)
    rows = [(one["truth"], one["predicted"], count(one["rows"]), share(one["share"])) for one in worst]
    heads = ("truth", "taken for", "rows", "of the class")
    most = table(heads, ("short", "short", "number", "number"), rows) if rows else element("p", "None.")
    chart = heat_map("Confusion matrix", labels, matrix)
    if not chart:
        return most
    caption = element("figcaption", "Truth down, prediction across; shaded by share of the true class.")
    return element(
        "div",
        element("figure", caption, element("div", chart, class_="scroll", tabindex=0)),
        element("div", element("p", "The most frequent", class_="muted"), most),
        class_="columns",
    )


def _worst(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[Confused]:
    """The ten most frequent confusions of a matrix."""
    places = ((i, j) for i, row in enumerate(matrix) for j, rows in enumerate(row) if i != j and rows)
    ordered = sorted(places, key=lambda place: (-matrix[place[0]][place[1]], place))
    return [
        Confused(truth=labels[i], predicted=labels[j], rows=matrix[i][j], share=matrix[i][j] / sum(matrix[i]))
        for i, j in ordered[:10]
    ]
