"""The report as one self-contained HTML page: no script, no outside resource, light and dark, phone and desktop."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from hft_core.report.appendix import exports, next_commands, reproduction
from hft_core.report.content.report import Report
from hft_core.report.data import data
from hft_core.report.diagnosis import diagnosis
from hft_core.report.evaluation import errors, results
from hft_core.report.evidence import evidence
from hft_core.report.markup import Markup, element
from hft_core.report.numbers import moment
from hft_core.report.search import search
from hft_core.report.summary import summary
from hft_core.report.training import training
from hft_core.report.tuning import tuning

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(report: Report) -> str:
    """Give the page of a report. Parts that a run has nothing to say about are left out, of the navigation too."""
    sections = {
        "Summary": summary(report),
        "Diagnosis": diagnosis(report),
        "Results": results(report),
        "Evidence": evidence(report),
        "Errors": errors(report),
        "Data": data(report),
        "Training": training(report),
        "Search": search(report["search"]) if report["search"] else "",
        "Tuning": tuning(report["tuning"]) if report.get("tuning") else "",
        "Exports": exports(report),
        "Reproduce": reproduction(report),
        "Next": next_commands(report),
    }
    return page(
        f"{report['name']}: report", _header(report), sections, "The same content for machines is in report.json."
    )


def page(title: str, header: Markup, sections: Mapping[str, str], footer: str) -> str:
    """Give a page of sections by their heading; empty ones are left out, of the navigation too."""
    shown = {heading: content for heading, content in sections.items() if content}
    links = [element("li", element("a", heading, href=f"#{heading.lower()}")) for heading in shown]
    body = [
        element("section", element("h2", heading), content, id=heading.lower()) for heading, content in shown.items()
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", title),
        element("style", Markup(files("hft_core.report").joinpath("style.css").read_text(encoding="utf-8"))),
    )
    content = element(
        "body",
        header,
        element("nav", element("ul", *links), aria_label="Sections"),
        element("main", *body),
        element("footer", footer),
    )
    return f"<!doctype html>\n{element('html', head, content, lang='en')}\n"


def _header(report: Report) -> Markup:
    seeds = "seed" if len(report["seeds"]) == 1 else "seeds"
    facts = [
        report["task"] or "pre-training",
        report["model"],
        f"{seeds} {', '.join(map(str, report['seeds']))}",
        moment(report["created"]),
        f"hft {report['hft']}",
    ]
    return element("header", element("h1", report["name"]), element("p", " · ".join(facts), class_="muted"))
