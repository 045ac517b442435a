"""Options and loading that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hft_core.recipe import LoadedRecipe
    from hft_core.registry import Registry


_DISABLED = "hft.disabled"
_LOCKED = "hft.locked"


def _note_disabled(ctx: click.Context, option: click.Parameter, value: tuple[str, ...]) -> None:
    ctx.meta[_DISABLED] = dict.fromkeys(value, "--disable")


def _note_locked(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    ctx.meta[_LOCKED] = value


def disabled() -> dict[str, str]:
    """What `--disable` of the command at work names, each with who says so."""
    context = click.get_current_context(silent=True)
    return dict(context.meta.get(_DISABLED, {})) if context else {}


def _locked() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(_LOCKED))


def plugin_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --plugin, and --disable, which `disabled` gives."""
    for decorate in (
        click.option(
            "--disable",
            multiple=True,
            metavar="NAME",
            expose_value=False,
            callback=_note_disabled,
            help="Do not import this plugin, or the plugins of this distribution.",
        ),
        click.option(
            "--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A file with components."
        ),
    ):
        command = decorate(command)
    return command


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add RECIPE, --set, --plugin, --disable and --locked."""
    for decorate in (
        click.option(
            "--locked",
            is_flag=True,
            expose_value=False,
            callback=_note_locked,
            help="Refuse unless all versions are those of the recipe's lock, see hft lock.",
        ),
        plugin_options,
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
    from hft_core.recipe.plugins import registry_for

    registry = registry_for(recipe, plugins, disabled(), overrides)
    if os.environ.get("RANK", "0") == "0":  # of several processes under torchrun, one talks
        warn_of_broken(registry)
    loaded = load_recipe(recipe, registry, overrides)
    if _locked():
        from hft_core.recipe.lock import require_locked

        require_locked(recipe, loaded, registry)
    return loaded, registry


def warn_of_broken(registry: Registry) -> None:
    """One line per plugin that failed to load, and per one that printed something; not for those that were disabled."""
    for plugin in registry.plugins:
        if plugin.said:
            said = plugin.said if len(plugin.said) < 80 else plugin.said[:77] + "…"
            click.echo(f"warning: plugin {plugin.title} printed while it was imported: {said}", err=True)
        if plugin.problem and not plugin.disabled:
            click.echo(f"warning: plugin {plugin.title} was not loaded: {plugin.problem}", err=True)


def session_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --threads and --provider, which say how onnxruntime runs a bundle."""
    for decorate in (
        click.option(
            "--provider",
            "providers",
            multiple=True,
            help="Execution provider of onnxruntime, such as cuda; may be repeated, first choice first. Default: cpu.",
        ),
        click.option("--threads", type=click.IntRange(min=1), help="Threads; default: the physical cores."),
    ):
        command = decorate(command)
    return command
