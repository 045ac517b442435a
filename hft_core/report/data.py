"""The part of the report about data: what was read, kept, dropped and made, and what the checks found."""

from __future__ import annotations

from difflib import SequenceMatcher

from hft_core.report.content import Check, Report, Source
from hft_core.report.markup import Markup, element, joined, shortened
from hft_core.report.numbers import count, share
from hft_core.report.tables import table


def data(report: Report) -> Markup:
    """Give the ledger, its reasons, the checks and examples of edits."""
    parts: list[Markup] = []
    if report["ledger"]:
        parts.append(_ledger(report["ledger"]))
    if report["checks"]:
        parts += [element("h3", "Checks"), findings(report["checks"])]
    edits = [
        (source["name"], edit["component"], *_marked(edit["before"], edit["after"]))
        for source in report["ledger"]
        for edit in source["edits"]
    ]
    if edits:
        parts.append(element("h3", "What cleaners changed (examples)"))
        parts.append(table(("source", "cleaner", "before", "after"), ("short", "short", "text", "text"), edits))
    return joined(parts)


def findings(checks: list[Check]) -> Markup:
    """Give a list of findings, each with its severity as a word and a colour."""
    items = [
        element(
            "li",
            element("span", check["severity"], class_=f"severity {check['severity']}"),
            element("span", element("b", check["title"]), ": " if check["detail"] else None, check["detail"]),
        )
        for check in checks
    ]
    return element("ul", *items, class_="findings")


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
        reasons += [(name, "quarantined", reason, count(rows)) for reason, rows in source["quarantined"].items()]
        reasons += [
            (name, f"dropped by {entry['component']}", entry["reason"], count(entry["rows"]))
            for entry in source["dropped"]
        ]
        reasons += [(name, "made", maker, count(rows)) for maker, rows in source["made"].items()]
    if reasons:
        parts.append(
            table(("source", "what", "reason or maker", "rows"), ("short", "short", "text", "number"), reasons)
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
