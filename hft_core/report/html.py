"""The report as one self-contained HTML page: no script, no outside resource, light and dark, phone and desktop."""

from __future__ import annotations

from importlib.resources import files

from hft_core.report.appendix import exports, next_commands, reproduction
from hft_core.report.content import Report
from hft_core.report.data import data
from hft_core.report.evaluation import errors, results
from hft_core.report.markup import Markup, element
from hft_core.report.numbers import moment
from hft_core.report.summary import summary
from hft_core.report.training import training

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(report: Report) -> str:
    """Give the page of a report. Parts that a run has nothing to say about are left out, of the navigation too."""
    sections = {
        "Summary": summary(report),
        "Results": results(report),
        "Errors": errors(report) if report["errors"] else "",
        "Data": data(report),
        "Training": training(report),
        "Exports": exports(report),
        "Reproduce": reproduction(report),
        "Next": next_commands(report),
    }
    shown = {title: content for title, content in sections.items() if content}
    links = [element("li", element("a", title, href=f"#{title.lower()}")) for title in shown]
    body = [element("section", element("h2", title), content, id=title.lower()) for title, content in shown.items()]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", f"{report['name']}: report"),
        element("style", Markup(files("hft_core.report").joinpath("style.css").read_text(encoding="utf-8"))),
    )
    page = element(
        "body",
        _header(report),
        element("nav", element("ul", *links), aria_label="Sections"),
        element("main", *body),
        element("footer", "The same content for machines is in report.json."),
    )
    return f"<!doctype html>\n{element('html', head, page, lang='en')}\n"


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
