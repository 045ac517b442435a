"""`hft schema`: the JSON Schema of recipes, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hft_core.cli.options import disabled, plugin_options


@click.command("schema")
@plugin_options
def command(plugins: tuple[Path, ...]) -> None:
    """Print the JSON Schema of recipes, with every installed component.

    \b
    hft schema > recipe.schema.json
    and as the first line of a recipe:
    # yaml-language-server: $schema=recipe.schema.json
    """
    from hft_core.cli.options import warn_of_broken
    from hft_core.recipe.narrow import narrow
    from hft_core.registry import load_registry

    registry = load_registry(plugins, disabled=disabled())
    warn_of_broken(registry)
    schema = narrow(registry).model_json_schema()
    click.echo(
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, ensure_ascii=False, indent=1)
    )
