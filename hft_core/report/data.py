"""The part of the report about data: what was read, kept, dropped and made, and what the checks found."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

from hft_core.report.content.data import Check, Source
from hft_core.report.content.report import Report
from hft_core.report.markup import Markup, element, joined, shortened
from hft_core.report.numbers import count, figure, share
from hft_core.report.svg import Bar, Series, bar_chart, line_chart
from hft_core.report.tables import table

_MOST_BARS = 30


def data(report: Report) -> Markup:
    """Give the ledger, its reasons, the checks and examples of edits."""
    parts: list[Markup] = []
    if report["ledger"]:
        parts.append(_ledger(report["ledger"]))
    if report["checks"]:
        parts += [element("h3", "Checks"), findings(report["checks"])]
    surveys = {source["name"]: source["survey"] for source in report["ledger"] if "survey" in source}
    if surveys:
        parts += [element("h3", "What the rows look like"), overview(surveys)]
    edits = [
        (source["name"], edit["component"], *_marked(edit["before"], edit["after"]))
        for source in report["ledger"]
        for edit in source["edits"]
    ]
    if edits:
        parts.append(element("h3", "What was changed or dropped (examples)"))
        parts.append(table(("source", "component", "before", "after"), ("short", "short", "text", "text"), edits))
    return joined(parts)


def findings(checks: list[Check]) -> Markup:
    """Give a list of findings, each with its severity as a word and a colour."""
    items = [
        element(
            "li",
            element("span", check["severity"], class_=f"severity {check['severity']}"),
            element(
                "div",
                element("b", check["title"]),
                ": " if check["detail"] else None,
                check["detail"],
                *(element("div", shortened(example, 200), class_="example") for example in check.get("examples", ())),
            ),
        )
        for check in checks
    ]
    return element("ul", *items, class_="findings")


def overview(surveys: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Give lengths and languages of each split (see `hft_core.data.survey`), and plots of lengths and classes."""
    rows = [
        (
            name,
            count(seen["rows"]),
            *(figure(seen["lengths"].get(key)) for key in ("minimum", "median", "mean", "p95", "maximum")),
            ", ".join(f"{language} {share(part)}" for language, part in seen["languages"].items()) or "–",
        )
        for name, seen in surveys.items()
    ]
    heads = ("split", "rows", "shortest", "median", "mean", "95 %", "longest", "languages (of a sample)")
    charts = [
        line_chart(
            "Lengths of texts",
            "characters (share of rows, up to the 99th percentile)",
            [Series(name, seen["histogram"]) for name, seen in surveys.items()],
        )
    ]
    for name, seen in surveys.items():
        total = sum(seen["balance"].values())
        if 1 < len(seen["balance"]) <= _MOST_BARS:
            bars = [
                Bar(f"{label} ({count(found)})", {"value": found / total, "low": None, "high": None}, False)
                for label, found in seen["balance"].items()
            ]
            charts.append(
                element("figure", element("figcaption", f"Labels of {name}"), bar_chart(f"Labels of {name}", bars))
            )
    return joined(
        [
            table(heads, ("short", *["number"] * 6, "text"), rows),
            element("p", "Lengths are in characters.", class_="muted"),
            element("div", *charts, class_="charts"),
        ]
    )


def _ledger(ledger: list[Source]) -> Markup:
    rows = [
        (
            source["name"],
            count(source["read"]),
            count(source["kept"]),
            count(sum(source["quarantined"].values())),
            count(sum(entry["rows"] for entry in source["dropped"])),
            count(sum(source["made"].values())),
            share(source["unknown_rate"]),
        )
        for source in ledger
    ]
    heads = ("source", "read", "kept", "quarantined", "dropped", "made", "unknown tokens")
    parts = [
        element("p", "Read = kept + quarantined + dropped; made rows are counted apart.", class_="muted"),
        table(heads, ("short", *["number"] * 6), rows),
    ]
    reasons: list[tuple[str, str, str, str]] = []
    for source in ledger:
        name = source["name"]
        reasons += [(name, f"{fact} (found)", value, "–") for fact, value in source["found"].items()]
        reasons += [(name, "quarantined", reason, count(rows)) for reason, rows in source["quarantined"].items()]
        reasons += [
            (name, f"dropped by {entry['component']}", entry["reason"], count(entry["rows"]))
            for entry in source["dropped"]
        ]
        reasons += [(name, "changed", f"by {cleaner}", count(rows)) for cleaner, rows in source["touched"].items()]
        reasons += [(name, "made", maker, count(rows)) for maker, rows in source["made"].items()]
    if reasons:
        parts.append(
            table(("source", "what", "reason, maker or value", "rows"), ("short", "short", "text", "number"), reasons)
        )
    return joined(parts)


def _marked(before: str, after: str) -> tuple[Markup, Markup]:
    """Mark in two texts what differs between them."""
    before, after = shortened(before, 400), shortened(after, 400)
    old: list[Markup | str] = []
    new: list[Markup | str] = []
    for change, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        removed, added = before[start:end], after[new_start:new_end]
        old.append(removed if change == "equal" else element("del", removed))
        new.append(added if change == "equal" else element("ins", added))
    return joined(old), joined(new)
