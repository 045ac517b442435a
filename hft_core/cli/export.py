"""`hft export`: export a finished run's model."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--type", "kind", default="onnx", show_default=True, help="The exporter.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Its settings: --set precisions=[fp32,int8]"
)
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A file with components.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder to write; default: RUN itself.")
def command(run: Path, kind: str, settings: tuple[str, ...], plugins: tuple[Path, ...], out: Path | None) -> None:
    """Export the model of the run folder RUN, with the same checks as in a run; nothing is trained again.

    Without --set, a run whose recipe has an export gets that one again.
    """
    from hft_core.cli.options import warn_of_broken
    from hft_core.cli.run import finish
    from hft_core.errors import RecipeError
    from hft_core.pipeline.folder import recorded
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry

    note = recorded(run)
    if not note:
        raise RecipeError(f"{run} is no run folder (it has no run.json); give the folder that hft run wrote")
    registry = load_registry(plugins)
    warn_of_broken(registry)
    raw = dict(note["recipe"])
    if settings or not raw.get("export"):
        raw["export"] = [{"type": kind}]
    overrides = [f"export.0.{setting}" for setting in settings]
    loaded = load_recipe(raw, registry, overrides, folder=Path(note["folder"]))
    finish(loaded, registry, out or run, wait=True)
