"""What `hft search` and `hft tune` do with the recipe that they have written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hft_core.store.strict_json import strict_json

if TYPE_CHECKING:
    from hft_core.pipeline.run import Run
    from hft_core.registry import Registry
    from hft_core.store.store import Store


def carry_out_found(
    recipe: Path,
    registry: Registry,
    store: Store,
    part: str,
    found: Mapping[str, Any],
    told: Callable[[Run], str] | None,
) -> None:
    """Carry out the recipe that was found, add how to its report as `part`, and print.

    Args:
        registry: the plugins that it was found with; what their files have become meanwhile does not count.
        told: gives the words for the terminal; None prints one JSON object.

    Raises DamagedError, after printing, where a variant was refused.
    """
    from hft_core.pipeline.progress import for_terminal
    from hft_core.pipeline.rewrite import add_part
    from hft_core.pipeline.run import carry_out
    from hft_core.recipe.load import load_recipe

    run = carry_out(load_recipe(recipe, registry), registry, None, for_terminal(), store=store)
    add_part(run.folder, part, found)
    if told is None:
        run_facts = {"recipe": str(recipe), "run": str(run.folder), "metrics": run.metrics}
        click.echo(strict_json({**found, **run_facts}))
    else:
        click.echo(told(run))
    run.require_whole()
