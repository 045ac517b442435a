"""`hft plugins`: what is installed."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("plugins")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A file with components.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def command(plugins: tuple[Path, ...], as_json: bool) -> None:
    """List plugins with distribution, version and components, or the reason why one is not loaded."""
    from hft_core.registry import load_registry

    registry = load_registry(plugins, strict=False)
    if as_json:
        rows = [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "components": [
                    {"kind": c.kind, "type": c.type_name(), "summary": c.summary()} for c in plugin.components
                ],
                "problem": plugin.problem or None,
            }
            for plugin in registry.plugins
        ]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for plugin in registry.plugins:
        click.echo(f"{click.style(plugin.name, bold=True)}  {plugin.distribution} {plugin.version}")
        if plugin.problem:
            click.echo(click.style(f"    not loaded: {plugin.problem}", fg="yellow"))
        kinds: dict[str, list[str]] = {}
        for component in plugin.components:
            usable = component.type_name() in registry.classes(component.kind)
            kinds.setdefault(component.kind, []).append(
                component.type_name() + ("" if usable else " (offered twice: unusable)")
            )
        for kind, names in kinds.items():
            click.echo(f"    {kind + 's':<12}{', '.join(names)}")
