"""Where a model comes from, for its card: base model, licences, seeds, data by their hashes; and what each part is worth."""

from __future__ import annotations

from typing import Any

from hft_core.report.content.report import Report
from hft_core.report.markdown import plain, table
from hft_core.report.numbers import difference, moment

_LANGUAGE_SHARE = 0.05
"""Share of the training rows from which the card names a language."""


def hub_keys(report: Report) -> dict[str, Any]:
    """Give the keys of the hub's metadata that say where a model comes from: language, license, datasets, base_model."""
    found: dict[str, Any] = {}
    surveys = [source["survey"] for source in report["ledger"] if "survey" in source and "train" in source["name"]]
    spoken = {
        language
        for survey in surveys
        for language, share in survey["languages"].items()
        if share >= _LANGUAGE_SHARE and language != "und"
    }
    if spoken:
        found["language"] = sorted(spoken)
    found["license"] = report.get("license") or "unknown"
    if names := list(dict.fromkeys(source["hub"] for source in report.get("sources", []) if source["hub"])):
        found["datasets"] = names
    if report["base_model"]:
        found["base_model"] = report["base_model"]
    return found


def origins(report: Report) -> str:
    """Give seeds, what the model started from, licences, and the data by their hashes."""
    parts = ["## Origin"]
    lines = [f"- Seeds: {', '.join(map(str, report['seeds']))}"]
    for depth, one in enumerate(report.get("lineage", [])):
        start = "Started from" if depth == 0 else "which started from"
        run = (
            f", run {plain(one['name'])} of {moment(one['created'])} (hft {plain(one['hft'])})" if "name" in one else ""
        )
        lines.append(f"- {start}: {plain(one['what'])}{run}; hash {one['digest']}")
    licence = report.get("license")
    lines.append(
        f"- Licence of this model: {plain(licence)}"
        if licence
        else "- Licence of this model: not stated. What may be done with it depends on the licences of what it started from and "
        "of the data, which hft does not know."
    )
    parts.append("\n".join(lines))
    if sources := report.get("sources"):
        rows = [
            (
                plain(source["name"]),
                plain(source["hub"] or source["type"]),
                ", ".join(f"`{digest}`" for digest in source["files"]) or f"`{source['digest']}` (settings)",
            )
            for source in sources
        ]
        parts.append(table(("source", "data set or reader", "SHA-256 of its files, first 32 digits"), rows))
    return "\n\n".join(parts)


def ablation_table(report: Report) -> str:
    """Give what `hft ablate` found of each part of the recipe."""
    found = report.get("ablation")
    if not found:
        return ""
    rows = [
        (plain(part["title"]), *(plain(ablation_cell(part[way])) for way in ("leave_one_out", "add_one_in")))
        for part in found["parts"]
    ]
    basis = (
        f"{plain(found['metric'])} on validation, {found['seeds']} seeds: what it loses without a part, and what the bare recipe "
        "gains with it; intervals of 95 %, verdicts corrected together by Holm's method."
    )
    return f"## What each part is worth\n\n{basis}\n\n" + table(("part", "in the whole", "alone"), rows)


def ablation_cell(entry: dict[str, Any] | None) -> str:
    """Write one comparison of an ablation."""
    if entry is None:
        return "–"
    if "difference" not in entry:
        return f"{entry['verdict']} (training diverged)"
    spread = f"[{difference(entry['low'])}, {difference(entry['high'])}]"
    return f"{difference(entry['difference'])} {spread} {entry['verdict']}"
