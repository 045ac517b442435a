"""`hft check`: is a recipe valid here?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from hft_core.cli.options import load, recipe_options


@click.command("check")
@recipe_options
@click.option(
    "--processes", type=click.IntRange(1), default=1, help="For a run of so many processes (torchrun); default: 1."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: name, stages and sources of data.")
def command(recipe: Path, overrides: tuple[str, ...], plugins: tuple[Path, ...], processes: int, as_json: bool) -> None:
    """Check RECIPE against what is installed: keys, types, names, and that its files are there.

    Exit code 2 for a mistake in the recipe, 3 for a missing file.
    """
    from hft_core.recipe.check import check_processes
    from hft_core.recipe.words import typed

    loaded, registry = load(recipe, overrides, plugins)
    check_processes(loaded, processes)
    if loaded.recipe.search is not None:
        from hft_core.search.checks import checked

        checked(loaded, registry)
    data = loaded.recipe.data
    stages = len(loaded.recipe.stages)
    sources = len(data.sources) + sum(len(group.model_fields_set - {"split"}) for group in data.tasks.values())
    if as_json:
        said = {"recipe": str(recipe), "name": loaded.recipe.name, "stages": stages, "sources": sources}
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    click.echo(f"{recipe} is valid: {_counted(stages, 'stage')}, {_counted(sources, 'data source')}")
    click.echo(f"next: hft plan {typed(recipe)}")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}"
