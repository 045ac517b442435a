"""`hft evaluate`: a bundle on new labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hft_core.cli.options import disabled, plugin_options, session_options, warn_of_broken
from hft_core.store.strict_json import strict_json


@click.command("evaluate")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--task", metavar="NAME", help="Of a bundle with several tasks.")
@click.option("--slice", "slices", multiple=True, metavar="COLUMN", help="A column whose values are looked at apart.")
@click.option("--precision", help="One of the bundle's precisions; default: its first.")
@plugin_options
@session_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    bundle: Path,
    data: str,
    task: str | None,
    slices: tuple[str, ...],
    precision: str | None,
    plugins: tuple[Path, ...],
    threads: int | None,
    providers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure BUNDLE (or a run with one) on the labelled rows of DATA, which it has never seen.

    DATA is a file, or a reader as in a recipe: '{type: csv, path: new.csv}'. Figures have intervals of 95 % over the rows, by
    the metrics of the run, or the task's own for a bundle alone. What differs from the training rows is told: lengths, unknown
    tokens, the mix of labels.
    """
    from hft_core.cli.inspect import entry_of, reader_of
    from hft_core.evidence.new_rows import evaluate, judge_of
    from hft_core.registry import load_registry
    from hft_core.runtime import load

    registry = load_registry(plugins, disabled=disabled())
    warn_of_broken(registry)
    _, settings = entry_of(data)
    reader = reader_of(data, settings, registry)
    opened = load(bundle, precision=precision, threads=threads, providers=providers)
    found = evaluate(opened, judge_of(opened, registry, task), reader, slices) | {"data": data}
    click.echo(strict_json(found) if as_json else _told(found, bundle))


def _told(found: dict[str, Any], bundle: Path) -> str:
    """Figures beside those of the run, and what to look at."""
    from hft_core.data.checks import counted
    from hft_core.recipe.words import typed
    from hft_core.report.numbers import exact, exact_interval

    lines = [f"{found['rows']:,} {counted('row', found['rows'])} of {found['data']}{_left_out(found['left_out'])}", ""]
    before = found["before"]
    width = max(map(len, found["figures"]), default=0) + 2
    for name, figure in found["figures"].items():
        line = f"  {name:<{max(width, 24)}}{exact_interval(figure)}"
        if name in before:
            own = before[name].get("shipped", before[name]["value"])  # a bundle is the model of one seed
            line += f"   the run's own on {found['before_split']}: {exact(own)}"
        lines.append(line)
    if found["not_measured"]:
        lines.append(f"  not measured, a bundle gives no numbers for it: {', '.join(found['not_measured'])}")
    lines += ["", *_scores(found["scores"]), *_slices(found["slices"], found["headline"]), *_drift(found["drift"])]
    lines.append(f"next: hft inspect {typed(found['data'])}   (what these rows look like)")
    return "\n".join(lines)


def _left_out(left_out: dict[str, Any]) -> str:
    parts = [f"{sum(left_out['unreadable'].values())} unreadable"] if left_out["unreadable"] else []
    if left_out["unknown_labels"]:
        labels = ", ".join(f"{label!r} ({count})" for label, count in list(left_out["unknown_labels"].items())[:5])
        parts.append(f"with labels that training lacked: {labels}")
    if left_out["not_answered"]:
        parts.append(f"{left_out['not_answered']} not answered")
    return f"; left out: {', '.join(parts)}" if parts else ""


def _scores(scores: dict[str, Any] | None) -> list[str]:
    if scores is None:
        return []
    error, chance = scores["calibration"]["ece"], scores["calibration"]["by_chance"]
    verdict = "no more than chance would show" if error <= chance else "more than chance would show"
    return [f"calibration error {error:.3f}: {verdict} of honest scores (up to {chance:.3f})"]


def _slices(slices: list[dict[str, Any]], headline: str | None) -> list[str]:
    return [
        f"apart: {headline} {one['figure']['value']:.3f} on {one['rows']} rows with {one['by']} {one['value']}, "
        f"{one['rest']:.3f} on the others"
        for one in slices
        if one["apart"]
    ]


def _drift(drift: dict[str, Any]) -> list[str]:
    lines = []
    lengths, unknown, labels = drift["lengths"], drift["unknown"], drift["labels"]
    if lengths["trained"]:
        beyond, chance = lengths["beyond"], lengths["by_chance"]
        verdict = ", more than chance would show" if beyond > chance else ""
        lines.append(
            f"lengths: median {lengths['new']['median']:.0f} characters, {lengths['trained']['median']:.0f} in training; "
            f"{beyond:.1%} are longer than 95 % of the training texts{verdict}"
        )
    if unknown and unknown["trained"] is not None:
        lines.append(f"unknown tokens: {unknown['new']:.2%}, {unknown['trained']:.2%} in training")
    if labels:
        verdict = "more than chance would show" if labels["distance"] > labels["by_chance"] else "as by chance"
        lines.append(
            f"mix of labels: {labels['distance']:.1%} away from training, {verdict} ({labels['by_chance']:.1%})"
        )
    if not lengths["trained"]:
        lines.append("lengths and unknown tokens in training: not known to a bundle without its run")
    return lines
