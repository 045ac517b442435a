"""Options and loading that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hft_core.recipe import LoadedRecipe
    from hft_core.registry import Registry


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add RECIPE, --set and --plugin."""
    for decorate in (
        click.option(
            "--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A file with components."
        ),
        click.option(
            "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a value: stages.0.epochs=3"
        ),
        click.argument("recipe", type=click.Path(path_type=Path)),
    ):
        command = decorate(command)
    return command


def load(recipe: Path, overrides: tuple[str, ...], plugins: tuple[Path, ...]) -> tuple[LoadedRecipe, Registry]:
    """Load plugins and recipe; broken plugins are named once on stderr."""
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry

    registry = load_registry(plugins)
    warn_of_broken(registry)
    return load_recipe(recipe, registry, overrides), registry


def warn_of_broken(registry: Registry) -> None:
    """One line per plugin that failed to load; not for those that were disabled."""
    for plugin in registry.plugins:
        if plugin.problem and not plugin.disabled:
            click.echo(f"warning: plugin {plugin.title} was not loaded: {plugin.problem}", err=True)
