"""`hft plugins`: what is installed, what a plugin offers, and whether it keeps to the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hft_core.cli.options import disabled, plugin_options

if TYPE_CHECKING:
    from hft_core.components import Component
    from hft_core.registry import Plugin, Registry


@click.group("plugins", invoke_without_command=True)
@plugin_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.pass_context
def command(ctx: click.Context, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List plugins with distribution, version and components, or the reason why one is not loaded.

    `hft plugins show NAME` tells all about a plugin or a component, `hft plugins check NAME` makes the contract tests.
    """
    if ctx.invoked_subcommand:
        return
    from hft_core.registry import load_registry

    registry = load_registry(plugins, strict=False, disabled=disabled())
    if as_json:
        click.echo(json.dumps([_row(plugin) for plugin in registry.plugins], ensure_ascii=False, indent=1))
        return
    for plugin in registry.plugins:
        _list(plugin, registry)


@command.command("show")
@click.argument("name")
@plugin_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of components.")
def show(name: str, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Show NAME, a plugin, a distribution or a component's type: fields, defaults, documentation, source and origin.

    Exit code 4 where there is none.
    """
    from hft_core.cli.shown import described, tell
    from hft_core.registry import load_registry

    registry = load_registry(plugins, strict=False, disabled=disabled())
    found = described(registry, name)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        tell(found)


@command.command("check")
@click.argument("name")
@plugin_options
@click.option("--timeout", type=click.FloatRange(min=1), default=300, help="Seconds for all checks; default: 300.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of checks.")
def check(name: str, plugins: tuple[Path, ...], timeout: float, as_json: bool) -> None:
    """Make the contract tests of the plugin NAME, in a process of its own that is ended when its time is over.

    A component is checked with its plugin's samples (see docs/authors.md). Exit code 4 where a check fails.
    """
    from hft_core.cli.checking import run_checks

    run_checks(name, plugins, disabled(), timeout, as_json)


def _row(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "components": [{"kind": c.kind, "type": c.type_name(), "summary": c.summary()} for c in plugin.components],
        "problem": plugin.problem or None,
        "source": str(plugin.source) if plugin.source else None,
        "sha256": plugin.sha256 or None,
        "import_seconds": round(plugin.seconds, 3),
        "printed": plugin.said or None,
    }


def _list(plugin: Plugin, registry: Registry) -> None:
    click.echo(f"{click.style(plugin.name, bold=True)}  {plugin.distribution} {plugin.version}")
    if plugin.problem:
        click.echo(click.style(f"    not loaded: {plugin.problem}", fg="yellow"))
    if plugin.said:
        click.echo(click.style(f"    printed while it was imported: {plugin.said[:80]}", fg="yellow"))
    if plugin.seconds > 1:
        click.echo(click.style(f"    slow: importing it took {plugin.seconds:.1f} s of CPU time", fg="yellow"))
    kinds: dict[str, list[str]] = {}
    for component in plugin.components:
        kinds.setdefault(component.kind, []).append(_name(component, registry))
    for kind, names in kinds.items():
        click.echo(f"    {kind + 's':<12}{', '.join(names)}")


def _name(component: type[Component], registry: Registry) -> str:
    usable = component.type_name() in registry.classes(component.kind)
    return component.type_name() + ("" if usable else " (offered twice: unusable)")
