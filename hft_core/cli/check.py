"""`hft check`: is a recipe valid here?"""

from __future__ import annotations

from pathlib import Path

import click

from hft_core.cli.options import load, recipe_options


@click.command("check")
@recipe_options
def command(recipe: Path, overrides: tuple[str, ...], plugins: tuple[Path, ...]) -> None:
    """Check RECIPE against what is installed: keys, types, names, and that its files are there.

    Exit code 2 for a mistake in the recipe, 3 for a missing file.
    """
    loaded, _ = load(recipe, overrides, plugins)
    data = loaded.recipe.data
    stages = len(loaded.recipe.stages)
    sources = len(data.sources) + sum(len(group.model_fields_set - {"split"}) for group in data.tasks.values())
    click.echo(f"{recipe} is valid: {_counted(stages, 'stage')}, {_counted(sources, 'data source')}")
    click.echo(f"next: hft plan {recipe}")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}"
