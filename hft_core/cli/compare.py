"""`hft compare`: runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hft_core.store.strict_json import strict_json


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN…", type=click.Path(path_type=Path))
@click.option("--metric", help="The figure to compare by; default: what decides in all of the runs.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the comparison into this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(runs: tuple[Path, ...], metric: str | None, html: Path | None, as_json: bool) -> None:
    """Compare run folders that were measured on the same rows: their figures, differences row by row and seed by seed, what
    their recipes differ in, and what training took.

    Exit code 2 for runs whose figures measure something else, 3 for runs that were measured on other rows.
    """
    from hft_core.pipeline.compare import compare

    found = compare(runs, metric)
    if html:
        from hft_core.report.comparison import render_comparison
        from hft_core.store.files import put_text

        put_text(html, render_comparison(found))
    click.echo(strict_json(found) if as_json else _told(found, html))


def _told(found: dict[str, Any], html: Path | None) -> str:
    """Tables for the terminal."""
    split, metric = found["split"], found["metric"]
    better = " (less is better)" if found["greater_is_better"] is False else ""
    lines = [f"{metric} on {split}{better}, {found['rows']:,} rows, intervals of 95 %", ""]
    for number, run in enumerate(found["runs"]):
        figure = run["metrics"][split][metric]
        spread = f" ({figure['low']:.4f} … {figure['high']:.4f})" if figure["low"] is not None else ""
        cost = f"  {run['cost']['cpu_seconds']:,.0f} s of CPU" if run["cost"] else ""
        seeds = f"  {len(run['seeds'])} seeds" if len(run["seeds"]) > 1 else ""
        lines.append(f"{number + 1}  {run['folder']:<36} {figure['value']:.4f}{spread}{seeds}{cost}")
    lines += ["", "differences, row by row and seed by seed; p-values are two-sided and corrected together (Holm)"]
    for entry in found["differences"]:
        pair = f"{entry['run'] + 1} less {entry['against'] + 1}"
        if "why" in entry:
            lines.append(f"{pair}  not paired: {entry['why']}")
        else:
            lines.append(
                f"{pair}  {entry['difference']:+.4f} ({entry['low']:+.4f} … {entry['high']:+.4f})  p {entry['adjusted']:.4f}"
            )
    lines += ["", "recipes" if found["recipes"] else "the recipes are the same"]
    for row in found["recipes"]:
        lines.append(f"{row['place']}: " + " | ".join(_written(value) for value in row["values"]))
    lines.append("")
    lines.append(f"page: {html}" if html else "next: the same with --html FILE writes a page")
    return "\n".join(lines)


def _written(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
