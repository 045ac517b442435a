"""`hft export`: export a finished run's model."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--type", "kind", help="Another exporter than the recipe's; default: the recipe's exports, else onnx.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Its settings: --set precisions=[fp32,int8]"
)
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A file with components.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder to write; default: RUN itself.")
def command(
    run: Path, kind: str | None, settings: tuple[str, ...], plugins: tuple[Path, ...], out: Path | None
) -> None:
    """Export the model of the run folder RUN, with the same checks as in a run; nothing is trained.

    Without --type and --set, the exports of the run's recipe are made again.
    """
    from hft_core.cli.options import warn_of_broken
    from hft_core.cli.run import finish
    from hft_core.errors import RecipeError
    from hft_core.pipeline.folder import recorded
    from hft_core.pipeline.plan import build_plan
    from hft_core.recipe import load_recipe
    from hft_core.registry import load_registry
    from hft_core.store.store import Store

    note = recorded(run)
    if not note:
        raise RecipeError(f"{run} is no run folder (it has no run.json); give the folder that hft run wrote")
    registry = load_registry(plugins)
    warn_of_broken(registry)
    raw = dict(note["recipe"])
    if kind or settings or not raw.get("export"):
        raw["export"] = [{"type": kind or "onnx"}]
    loaded = load_recipe(raw, registry, [f"export.0.{setting}" for setting in settings], folder=Path(note["folder"]))
    store = Store(Path(note["store"]))
    changed = [n.name for n in build_plan(loaded, registry).nodes if n.kind != "export" and not store.has(n.key)]
    if changed:
        raise RecipeError(
            f"{run}: its {changed[0]} is not in the store {store.root} as it would be made today (data, settings, plugins "
            "or hft itself changed, or it was removed); run the recipe again with `hft run`"
        )
    finish(loaded, registry, out or run, wait=True, store=store)
