"""The part of the report that says what went wrong or could be better, and what to change in the recipe."""

from __future__ import annotations

import json

from hft_core.report.content.report import Report
from hft_core.report.content.training import Diagnosed
from hft_core.report.markup import Markup, element


def diagnosis(report: Report) -> Markup:
    """Give each finding with its evidence, the advice, and the recipe's new values."""
    if not report["diagnosis"]:
        return Markup("")
    return element("ul", *map(_finding, report["diagnosis"]), class_="findings")


def _finding(found: Diagnosed) -> Markup:
    return element(
        "li",
        element("span", found["where"], class_="severity warning"),
        element(
            "div",
            element("b", title(found)),
            ": ",
            found["evidence"],
            " ",
            found["advice"],
            *(element("div", element("code", change)) for change in changes(found)),
        ),
    )


def title(found: Diagnosed) -> str:
    """What was found, in words."""
    return found["name"].replace("-", " ").capitalize()


def changes(found: Diagnosed) -> list[str]:
    """Give the new values as a recipe would have them, such as `stages.0.epochs: 4`."""
    return [f"{path}: {json.dumps(value, ensure_ascii=False)}" for path, value in found["changes"].items()]


def line(found: Diagnosed) -> str:
    """Give a finding in one line, for the terminal."""
    told = "; ".join(changes(found))
    return f"{title(found)} ({found['where']}): {found['evidence']}" + (
        f" Try {told}" if told else f" {found['advice']}"
    )
