"""The end of the report: what exporters add, how to make the run again, what to type next."""

from __future__ import annotations

import base64

from hft_core.report.content.report import Report
from hft_core.report.content.sections import SectionContent
from hft_core.report.markup import Markup, element, joined
from hft_core.report.passages import passages
from hft_core.report.tables import record_table


def exports(report: Report) -> Markup:
    """Give the sections of exporters, one after another."""
    return joined(_section(section) for section in report["sections"])


def reproduction(report: Report) -> Markup:
    """Give environment and recipe."""
    environment = {name: value for name, value in report["environment"].items() if name != "versions"}
    environment |= {"seeds": ", ".join(map(str, report["seeds"])), "hft": report["hft"]}
    environment |= report["environment"].get("versions", {})
    entries = [Markup(element("dt", name) + element("dd", str(value))) for name, value in environment.items()]
    recipe = element("details", element("summary", "The recipe"), element("pre", report["recipe"]), open="open")
    return joined([element("dl", *entries), recipe])


def next_commands(report: Report) -> Markup:
    """Give the commands that make sense after this run."""
    return joined(
        Markup(element("p", command["purpose"], class_="muted") + element("pre", command["command"]))
        for command in report["next"]
    )


def _section(section: SectionContent) -> Markup:
    parts = [element("h3", section["title"])]
    parts += [element("p", paragraph) for paragraph in section["text"].split("\n\n") if paragraph.strip()]
    if section["table"]:
        parts.append(record_table(section["table"]))
    if section["svg"]:
        # As an image it can neither run a script, nor load anything, nor break the page.
        encoded = base64.b64encode(section["svg"].encode()).decode()
        parts.append(element("img", src=f"data:image/svg+xml;base64,{encoded}", alt=section["title"]))
    if section.get("passages"):
        parts.append(passages(section["passages"]))
    return joined(parts)
