"""`hft export`: export a finished run's model."""

from __future__ import annotations

from pathlib import Path

import click

from hft_core.cli.options import disabled, plugin_options


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--type", "kind", help="Another exporter than the recipe's; default: the recipe's exports, else onnx.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Its settings: --set precisions=[fp32,int8]"
)
@click.option(
    "--allow-drift",
    is_flag=True,
    help="Write precisions that decide otherwise than the model more often than their gates allow; the bundle records it.",
)
@plugin_options
@click.option("--out", type=click.Path(path_type=Path), help="The run folder to write; default: RUN itself.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end: folder, metrics, bundle.")
def command(
    run: Path,
    kind: str | None,
    settings: tuple[str, ...],
    allow_drift: bool,
    plugins: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Export the model of the run folder RUN, with the same checks as in a run; nothing is trained.

    Without --type and --set, the exports of the run's recipe are made again.
    """
    from hft_core.cli.options import warn_of_broken
    from hft_core.cli.run import finish
    from hft_core.errors import RecipeError
    from hft_core.pipeline.folder import recorded
    from hft_core.pipeline.gates_run import foreseen
    from hft_core.pipeline.plan import build_plan
    from hft_core.recipe import load_recipe
    from hft_core.recipe.plugins import registry_for
    from hft_core.store.store import Store

    note = recorded(run)
    if not note:
        raise RecipeError(f"{run} is no run folder (it has no run.json); give the folder that hft run wrote")
    registry = registry_for(note["recipe"], plugins, disabled(), folder=Path(note["folder"]))
    warn_of_broken(registry)
    raw = dict(note["recipe"])
    if kind or settings or not raw.get("export"):
        raw["export"] = [{"type": kind or "onnx"}]
    overrides = [f"export.0.{setting}" for setting in settings]
    if allow_drift:
        overrides += [f"export.{place}.allow_drift=true" for place in range(len(raw["export"]))]
    loaded = load_recipe(raw, registry, overrides, folder=Path(note["folder"]))
    store = Store(Path(note["store"]))
    gates = foreseen(store, loaded, registry)
    plan = build_plan(gates.settled.loaded, registry)
    needed = [*gates.nodes, *(node for node in plan.nodes if node.kind != "export" and node.key not in plan.spared)]
    changed = [node.name for node in needed if not store.has(node.key)]
    if changed:
        raise RecipeError(
            f"{run}: its {changed[0]} is not in the store {store.root} as it would be made today (data, settings, plugins "
            "or hft itself changed, or it was removed); run the recipe again with `hft run`"
        )
    finish(loaded, registry, out or run, wait=True, store=store, as_json=as_json)
