"""`hft report`: a run's report and card, written again."""

from __future__ import annotations

from pathlib import Path

import click

from hft_core.store.strict_json import strict_json


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the files, and the figures by split.")
def command(run: Path, as_json: bool) -> None:
    """Write report.html and README.md (the model card) of the run folder RUN anew from its report.json, and say where they are.

    Nothing is trained or measured.
    """
    from hft_core.pipeline.rewrite import rewrite
    from hft_core.recipe.words import typed

    page, card, content = rewrite(run)
    if as_json:
        figures = {
            split: {name: figure["value"] for name, figure in found.items()}
            for split, found in content["metrics"].items()
        }
        files = {"report": str(page), "card": str(card), "content": str(run / "report.json")}
        click.echo(strict_json({"run": str(run), **files, "metrics": figures}))
        return
    click.echo(f"report: {typed(page)}")
    click.echo(f"card:   {typed(card)}")
    click.echo(f"next:   hft compare {typed(run)} ANOTHER-RUN")
