"""`hft gc`: make room in the store."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("gc")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path())
@click.option("--work", is_flag=True, help="Also what interrupted runs have finished, and their checkpoints.")
@click.option("--yes", is_flag=True, help="Remove; without it the list is only shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: Path, work: bool, yes: bool, as_json: bool) -> None:
    """Show, and with --yes remove, what no run folder refers to, in the store of FOLDER (or HFT_STORE)."""
    from hft_core.pipeline.run import store_of
    from hft_core.recipe.words import typed
    from hft_core.store.gc import collect, removable

    store = store_of(folder.absolute())
    found = collect(store, work) if yes else removable(store, work)
    if as_json:
        items = [{"folder": str(item.folder), "bytes": item.bytes, "reason": item.reason} for item in found]
        click.echo(json.dumps({"store": str(store.root), "removed": yes, "items": items}, ensure_ascii=False))
        return
    for item in found:
        click.echo(f"{item.bytes / 1e6:>10.1f} MB  {item.folder.parent.name}/{item.folder.name[:12]}…  {item.reason}")
    total = sum(item.bytes for item in found) / 1e6
    click.echo(f"{len(found)} {'removed' if yes else 'could be removed'}, {total:.1f} MB, in {store.root}")
    if found and not yes:
        click.echo(f"next: hft gc {typed(folder)} --yes{' --work' if work else ''}")
