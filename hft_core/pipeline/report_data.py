"""What a report says of the data: what became of the rows of each source, and what was found in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hft_core.data.prepared import Prepared
from hft_core.pipeline.plan import Plan
from hft_core.pipeline.steps.common import read_json
from hft_core.recipe.model import Recipe
from hft_core.recipe.sources import title_of

_MANY_FLIPS = 0.1
"""Share of variants that change the predicted label from which the report warns of it."""


def ledger(recipe: Recipe, plan: Plan, folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """What became of the rows of each split and source."""
    unknown = _unknown_rates(plan, folders)
    ledgers: dict[str, Any] = {}
    surveys: dict[str, Any] = {}
    for task_name, task in plan.tasks.items():
        for split, node in task.splits.items():
            prepared = Prepared.load(folders[node.name])
            ledgers[title_of(recipe, task_name, split)] = prepared.ledger[split]
            survey = prepared.surveys[split]
            if recipe.all_tasks[task_name].target_form is None and not prepared.roles.spans:
                survey = {**survey, "balance": {}}  # answers and translations are no classes
            surveys[title_of(recipe, task_name, split)] = survey
        if task.augment:
            title = title_of(recipe, task_name, "train")
            made = read_json(folders[task.augment.name] / "augmented.json")
            train = ledgers[title]
            ledgers[title] = train | {"made": made["made"], "examples": train["examples"] | made["examples"]}
    for name, node in plan.texts.items():
        ledgers[name] = Prepared.load(folders[node.name]).ledger["text"]
    rows = []
    for name, ledger in ledgers.items():
        dropped = [
            {"component": component if colon else "clean", "reason": reason.strip() or component, "rows": count}
            for (component, colon, reason), count in (
                (key.partition(":"), count) for key, count in ledger["dropped"].items()
            )
        ]
        if ledger["moved"]:
            dropped.append({"component": "split", "reason": "set aside for other splits", "rows": ledger["moved"]})
        edits = [
            {"component": component, "before": before, "after": after}
            for component, examples in ledger["examples"].items()
            for before, after in examples
        ]
        rows.append(
            {
                "name": name,
                "found": ledger["found"],
                "read": ledger["read"],
                "kept": ledger["kept"],
                "quarantined": ledger["quarantined"],
                "dropped": dropped,
                "touched": ledger["touched"],
                "made": ledger["made"],
                "unknown_rate": unknown.get(name),
                "edits": edits,
                **({"survey": surveys[name]} if name in surveys else {}),
            }
        )
    return rows


def _unknown_rates(plan: Plan, folders: Mapping[str, Path]) -> dict[str, float]:
    """Share of unknown pieces per source, from the first encoding that read it alone (or with others)."""
    rates: dict[str, float] = {}
    for node in sorted(plan.encodes, key=lambda node: len(node.details["sources"])):
        rate = read_json(folders[node.name] / "encoded.json")["unknown_rate"]
        for name in node.details["sources"] if rate is not None else ():
            rates.setdefault(name, rate)
    return rates


def checks(plan: Plan, folders: Mapping[str, Path]) -> tuple[list[Any], list[str]]:
    """All findings, and the titles of those that deserve attention."""
    checks: list[Any] = []
    for task in plan.tasks.values():
        checks += read_json(folders[task.checks.name] / "checks.json") if task.checks else []
        for node in {node.name: node for node in task.splits.values()}.values():
            checks += Prepared.load(folders[node.name]).checks
        if task.augment:
            checks += _augmented(read_json(folders[task.augment.name] / "augmented.json"))
    for name, rate in _unknown_rates(plan, folders).items():
        severity = "warning" if rate > 0.05 else "ok"
        advice = "Choose a model of this language, or train a tokenizer." if rate > 0.05 else "Under 5 % is fine."
        checks.append({"severity": severity, "title": f"{rate:.1%} unknown pieces in {name}", "detail": advice})
    return checks, [check["title"] for check in checks if check["severity"] in ("warning", "error")]


def _augmented(note: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is to be said of the variants that were made, and of those that a `check` left out."""
    for name, count in note["made"].items():
        dropped, compared = (note["checked"].get(name, {}).get(key, 0) for key in ("dropped", "compared"))
        if not count and not compared:
            title = f"{name} made no variant"
            detail = (
                "It found nothing that it may change, or left no text. Is it meant for this language? Does it need a table? "
                "Does `keep_labels` hold it back?"
            )
            yield {"severity": "warning", "code": "no-variants", "rows": 0, "title": title, "detail": detail}
        if compared:
            yield {
                "severity": "warning" if dropped > _MANY_FLIPS * compared else "info",
                "code": "variants-checked",
                "rows": dropped,
                "title": f"{dropped} of {compared} variants by {name} changed the predicted label ({dropped / compared:.1%})",
                "detail": "Its `check` has left them out. Where they are many, lower its `rate`, or protect more words.",
            }
