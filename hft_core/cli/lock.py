"""`hft lock`: write down the versions that a recipe runs with here."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hft_core.cli.options import load, recipe_options


@click.command("lock")
@recipe_options
def command(recipe: Path, overrides: tuple[str, ...], plugins: tuple[Path, ...]) -> None:
    """Write RECIPE's lock beside it (recipe.lock): versions of Python, of packages, and of the plugins that it uses.

    `hft run --locked` (and check, plan) then refuses to go on with anything else, and says what to install.
    """
    from hft_core.recipe.lock import contents, lock_file
    from hft_core.recipe.words import typed

    loaded, registry = load(recipe, overrides, plugins)
    found = contents(loaded, registry)
    file = lock_file(recipe)
    file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{file}: Python {found['python']}, {len(found['packages'])} packages, {len(found['plugins'])} plugins")
    click.echo(f"next: hft run {typed(recipe)} --locked")
