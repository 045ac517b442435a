"""Tables of the report, each in a container of its own that scrolls where the screen is narrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hft_core.report.content.figures import Figure
from hft_core.report.markup import Child, Markup, element
from hft_core.report.numbers import count, figure, interval


def table(heads: Sequence[str], kinds: Sequence[str], rows: Sequence[Sequence[Child]]) -> Markup:
    """Give a table. `kinds` says for each column what it holds: `number`, `text` (wraps) or `short` (does not)."""
    head = element(
        "tr", *(element("th", name, scope="col", class_=kind) for name, kind in zip(heads, kinds, strict=True))
    )
    body = [
        element("tr", *(element("td", value, class_=kind) for value, kind in zip(row, kinds, strict=True)))
        for row in rows
    ]
    return element(
        "div", element("table", element("thead", head), element("tbody", *body)), class_="scroll", tabindex=0
    )


def figure_cell(entry: Figure | None) -> Markup:
    """Give a figure over its interval; over several seeds also their spread and the shipped model's own."""
    if entry is None:
        return Markup("–")
    details = [interval(entry)]
    if "sd" in entry:
        details.append(f"sd {figure(entry['sd'])}")
    if "shipped" in entry:
        details.append(f"shipped {figure(entry['shipped'])}")
    lines = [element("span", detail, class_="interval") for detail in details if detail]
    return element("span", figure(entry["value"]), *lines)


def record_table(records: Sequence[Mapping[str, Any]]) -> Markup:
    """Give a table of dicts with the same keys."""
    heads = list(records[0])
    numeric = [all(type(record[head]) in (int, float) for record in records) for head in heads]
    kinds = ["number" if number else "short" for number in numeric]
    return table(heads, kinds, [[_written(record[head]) for head in heads] for record in records])


def _written(value: Any) -> str:
    """Write a value of a record for a person."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return figure(value) if abs(value) >= 0.001 or value == 0 else f"{value:.2g}"
    return str(value)
