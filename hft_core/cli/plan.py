"""`hft plan`: what a run would do, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hft_core.cli.options import load, recipe_options

if TYPE_CHECKING:
    from hft_core.pipeline.nodes import Node
    from hft_core.store.store import Store


@click.command("plan")
@recipe_options
@click.option("--out", type=click.Path(path_type=Path), help="The run folder to compare with; default: runs/NAME.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def command(
    recipe: Path, overrides: tuple[str, ...], plugins: tuple[Path, ...], out: Path | None, as_json: bool
) -> None:
    """Show the steps of RECIPE: which are in the store already, which would run, and what changed since the last run."""
    from hft_core.recipe.words import typed

    loaded, registry = load(recipe, overrides, plugins)

    from hft_core.pipeline.cost import predicted
    from hft_core.pipeline.folder import recorded
    from hft_core.pipeline.gates_run import foreseen
    from hft_core.pipeline.plan import build_plan
    from hft_core.pipeline.run import store_of

    store = store_of(loaded.folder)
    gates = foreseen(store, loaded, registry)
    plan = build_plan(gates.settled.loaded, registry)
    target = out or loaded.folder / "runs" / loaded.recipe.name
    before = recorded(target).get("nodes", {})
    shared = {node.key for node in plan.nodes}
    nodes = [*(node for node in gates.nodes if node.key not in shared), *plan.nodes]
    rows = [_row(node, store, before, node.key in plan.spared) for node in nodes]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for row in rows:
        click.echo(f"{row['state']:<9}{row['name']:<44} {row['key'][:8]}  {row['why']}")
    click.echo(f"training in {plan.precision}; store: {store.root}")
    for text in gates.told():
        click.echo(text)
    if all(row["state"] in ("stored", "diverged") for row in rows):
        if before:
            click.echo("nothing to do: all is in the store")
            return
        click.echo(
            f"nothing to train: all is in the store; there is no run folder {typed(target)} yet, which hft run writes"
        )
    elif gates.nodes:
        click.echo(predicted(nodes, store).told())
    again = "".join(f" --set {typed(text)}" for text in overrides) + "".join(
        f" --plugin {typed(file)}" for file in plugins
    )
    again += f" --out {typed(out)}" if out else ""
    click.echo(f"next: hft run {typed(recipe)}{again}")


def _row(node: Node, store: Store, before: Mapping[str, Any], spared: bool) -> dict[str, str]:
    """A node's state, and what it differs in from that of the last run."""
    from hft_core.pipeline.divergence import divergence
    from hft_core.pipeline.nodes import difference

    if store.has(node.key):
        state, why = "stored", ""
    elif spared and (message := divergence(store, node.key)):
        state, why = "diverged", message
    elif node.name in before and before[node.name]["key"] != node.key:
        state, why = "run", difference(node, before[node.name]["parts"])
    elif any((store.root / "work" / node.key).glob("step-*")):
        state, why = "continue", "has a checkpoint"
    else:
        state, why = "run", "new"
    return {"state": state, "name": node.name, "key": node.key, "why": why}
