"""`hft run`: carry out a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hft_core.cli.options import load, recipe_options
from hft_core.store.strict_json import strict_json

if TYPE_CHECKING:
    from hft_core.pipeline.run import Run
    from hft_core.recipe import LoadedRecipe
    from hft_core.registry import Registry
    from hft_core.store.store import Store


@click.command("run")
@recipe_options
@click.option("--out", type=click.Path(path_type=Path), help="The run folder; default: runs/NAME beside the recipe.")
@click.option("--no-wait", is_flag=True, help="Exit with 8 instead of waiting for another process's result.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end: folder, metrics, bundle.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    plugins: tuple[Path, ...],
    out: Path | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Carry out RECIPE: prepare, train, evaluate, export, report.

    Every finished step is kept in the store (HFT_STORE, default .hft beside the recipe), so the same
    command continues a run that died, and runs only what a change concerns. Under torchrun, all
    processes train and one does the rest: torchrun --nproc_per_node 2 -m hft_core run RECIPE.
    """
    from hft_core.pipeline.ranks import joined

    with joined():  # a mistake in the recipe is told by one process too
        loaded, registry = load(recipe, overrides, plugins)
        finish(loaded, registry, out, wait=not no_wait, as_json=as_json)


def finish(
    loaded: LoadedRecipe,
    registry: Registry,
    out: Path | None,
    wait: bool = True,
    store: Store | None = None,
    as_json: bool = False,
) -> None:
    """Carry out a loaded recipe on the terminal, and say where things are and what to type next."""
    from hft_core.pipeline.progress import for_terminal
    from hft_core.pipeline.ranks import joined
    from hft_core.pipeline.run import carry_out

    with joined() as ranks:
        run = carry_out(loaded, registry, out, for_terminal(), wait, store)
        if ranks.first:
            tell(run, as_json)


def tell(run: Run, as_json: bool) -> None:
    """Print what a run came to. Raises DamagedError where an export was refused."""
    if not as_json:
        summary(run.folder)
        run.require_whole()
        return
    bundle = str(run.folder / "bundle") if (run.folder / "bundle").is_dir() else None
    bundles = {task: str(folder) for task, folder in run.bundles.items()}
    said = {"run": str(run.folder), "metrics": run.metrics, "bundle": bundle, "bundles": bundles}
    click.echo(strict_json(said))
    run.require_whole()


def summary(folder: Path) -> None:
    """Print figures beside baselines, where the results are, and the next sensible command."""
    from hft_core.recipe.words import typed
    from hft_core.report.diagnosis import line
    from hft_core.report.numbers import exact_interval

    report = json.loads((folder / "report.json").read_text("utf-8"))
    rows = {"this model": report["metrics"]} | report["baselines"]
    for headline in report["headlines"]:
        split, metric = headline["split"], headline["metric"]
        click.echo(f"\n{split} {metric}:")
        for name, figures in rows.items():
            if figure := figures.get(split, {}).get(metric):
                click.echo(f"  {name:<14}{exact_interval(figure)}")
    for warning in report["warnings"]:
        click.echo(f"warning: {warning}")
    for found in report.get("diagnosis", ()):  # a run of an earlier version has none
        click.echo(f"diagnosis: {line(found)}")
    click.echo(f"\nreport: {typed(folder / 'report.html')}")
    click.echo(f"model:  {typed(folder / 'model')}")
    for bundle in sorted(folder.glob("bundle*/bundle.json")):
        click.echo(f"bundle: {typed(bundle.parent)}")
    for command in report["next"]:
        click.echo(f"next:   {command['command']}")
