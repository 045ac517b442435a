"""The page of `hft compare`: runs side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hft_core.report.html import page
from hft_core.report.markup import Markup, element, joined, shortened
from hft_core.report.numbers import count, difference, duration, figure, moment
from hft_core.report.svg import Bar, bar_chart
from hft_core.report.tables import figure_cell, table


def render_comparison(found: Mapping[str, Any]) -> str:
    """Give the page, made of what `hft_core.pipeline.compare.compare` gives: no script, no outside resource."""
    heads = [f"{number}. {run['name']}" for number, run in enumerate(found["runs"], 1)]
    facts = [found["task"] or "", f"{count(found['rows'])} rows of {found['split']}"]
    header = element("header", element("h1", "Runs side by side"), element("p", " · ".join(facts), class_="muted"))
    sections: dict[str, str] = {
        "Figures": _figures(found, heads),
        "Differences": _differences(found),
        "Recipes": _recipes(found, heads),
        "Runs": _runs(found),
    }
    return page(f"{' and '.join(heads)}", header, sections, "The same content for machines: hft compare --json.")


def _figures(found: Mapping[str, Any], heads: list[str]) -> Markup:
    split, metric = found["split"], found["metric"]
    name = f"{metric} on {split}" + (" (less is better)" if found["greater_is_better"] is False else "")
    bars = [Bar(head, run["metrics"][split][metric], False) for head, run in zip(heads, found["runs"], strict=True)]
    names = dict.fromkeys(title for run in found["runs"] for title in run["metrics"].get(split, {}) if "[" not in title)
    rows = [
        (title, *(figure_cell(run["metrics"].get(split, {}).get(title)) for run in found["runs"])) for title in names
    ]
    chart = element("figure", element("figcaption", name), bar_chart(name, bars))
    left = table(("metric", *heads), ("short", *["number"] * len(heads)), rows)
    return element("div", element("div", left), chart, class_="columns")


def _differences(found: Mapping[str, Any]) -> Markup:
    runs = [f"{number}. {run['name']}" for number, run in enumerate(found["runs"], 1)]
    rows = []
    for entry in found["differences"]:
        pair = f"{runs[entry['run']]} less {runs[entry['against']]}"
        if "why" in entry:
            rows.append((pair, "–", entry["why"], "–"))
        else:
            spread = f"[{difference(entry['low'])}, {difference(entry['high'])}]"
            p = "< 0.001" if entry["adjusted"] < 0.001 else f"{entry['adjusted']:.3f}"
            rows.append((pair, difference(entry["difference"]), spread, p))
    basis = (
        f"{found['metric']} on {found['split']}, row by row and seed by seed. An interval that holds 0 settles nothing. P-values "
        "are two-sided, corrected together by Holm's method."
    )
    kinds = ("short", "number", "text", "number")
    return joined(
        [element("p", basis, class_="muted"), table(("runs", "difference", "interval of 95 %", "p"), kinds, rows)]
    )


def _recipes(found: Mapping[str, Any], heads: list[str]) -> Markup:
    if not found["recipes"]:
        return element("p", "The recipes are the same.")
    rows = [(row["place"], *(shortened(_written(value), 200) for value in row["values"])) for row in found["recipes"]]
    return table(("place", *heads), ("short", *["text"] * len(heads)), rows)


def _runs(found: Mapping[str, Any]) -> Markup:
    rows = [
        (
            run["folder"],
            run["model"],
            ", ".join(map(str, run["seeds"])),
            duration(run["cost"]["cpu_seconds"]) if run["cost"] else "–",
            figure(run["calibration"]),
            moment(run["created"]),
            run["hft"],
        )
        for run in found["runs"]
    ]
    heads = ("folder", "model", "seeds", "CPU time of training", "calibration error", "made", "hft")
    return table(heads, ("short", "text", "short", "number", "number", "short", "short"), rows)


def _written(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
