"""The page of `hft inspect`: what was found in some data, with plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hft_core.report.data import findings, overview
from hft_core.report.html import page
from hft_core.report.markup import Markup, element, joined
from hft_core.report.numbers import count
from hft_core.report.tables import table

if TYPE_CHECKING:
    from hft_core.data.inspection import Inspection


def render_inspection(inspection: Inspection) -> str:
    """Give the page as HTML: no script, no outside resource."""
    sources = inspection["sources"]
    rows = [
        (
            source["name"],
            source["file"],
            source["type"],
            ", ".join(source["text"]),
            ", ".join(source["target"]) or "–",
            count(source["read"]),
            count(sum(source["quarantined"].values())),
            ", ".join(f"{name}: {value}" for name, value in source["found"].items()) or "–",
        )
        for source in sources
    ]
    heads = ("name", "file", "reader", "text", "label", "read", "unusable", "found out")
    kinds = ("short", "text", "short", "short", "short", "number", "number", "text")
    header = element("header", element("h1", "Data"), element("p", ", ".join(row[0] for row in rows), class_="muted"))
    sections: dict[str, Markup] = {
        "Findings": findings(inspection["checks"]),  # type: ignore[arg-type]  # the shape of content.Check
        "Sources": table(heads, kinds, rows),
        "Rows": joined([overview({source["name"]: source["survey"] for source in sources})]),
    }
    return page("Data", header, sections, "The same content for machines: hft inspect --json.")
