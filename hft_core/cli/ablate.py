"""`hft ablate`: what each part of a recipe is worth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from hft_core.cli.options import load, recipe_options
from hft_core.store.strict_json import strict_json


@click.command("ablate")
@recipe_options
@click.option("--runs", type=int, help="Train at most so many runs (a recipe with one seed); default: all.")
@click.option("--minutes", type=float, help="Begin nothing that would end after so many minutes; default: all.")
@click.option("--dry-run", is_flag=True, help="Prepare the data, say what it would cost, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    plugins: tuple[Path, ...],
    runs: int | None,
    minutes: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Measure each part of RECIPE that it is valid without: the whole without it, and what is left without any with it.

    Stages, objectives, techniques, cleaners and augmenters are parts, with `when: helps` or not. All are compared on
    validation, by the recipe's `best`, with its seeds; under 500 validation rows by cross-validation. What is trained stays in
    the store, so the same command goes on where it was stopped, or where a budget ended.
    """
    from hft_core.errors import RecipeError
    from hft_core.pipeline.ablation import Ablation
    from hft_core.pipeline.cost import Budget
    from hft_core.pipeline.gates_run import Carrier
    from hft_core.pipeline.progress import for_terminal
    from hft_core.pipeline.run import store_of, typed_errors
    from hft_core.training.stopping import watch

    budget = Budget(runs, minutes)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError("hft ablate runs in one process; start it without torchrun")
    loaded, registry = load(recipe, overrides, plugins)
    store, progress = store_of(loaded.folder), for_terminal()
    target = loaded.folder / "runs" / f"{loaded.recipe.name}.ablation.json"
    try:
        with (
            typed_errors(registry, target),
            watch(progress.say) as stop,
            Carrier(store, progress, stop, wait=True) as carrier,
        ):
            ablation = Ablation(loaded, registry, carrier)
            parts, count = len(ablation.parts), len(ablation.arms)
            seeds = f"{ablation.seeds} seed{'s' * (ablation.seeds != 1)}"
            click.echo(f"{parts} part{'s' * (parts != 1)}, {count} arms of {seeds}; {ablation.cost().told()}", err=True)
            click.echo(f"parts: {'; '.join(part.title for part in ablation.parts)}", err=True)
            if dry_run:
                return
            found = ablation.train(budget)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(strict_json(found, indent=1), encoding="utf-8")
    finally:
        progress.close()
    click.echo(strict_json(found) if as_json else _told(found, target, recipe))


def _told(found: dict[str, Any], target: Path, recipe: Path) -> str:
    """A table of the parts, what it took, and what to type next."""
    from hft_core.recipe.words import typed

    over = "rows only: one seed cannot tell an effect from luck" if found["seeds"] == 1 else f"{found['seeds']} seeds"
    how = "cross-validation over train and validation" if found["folds"] else f"{found['rows']:,} rows of validation"
    lines = [
        f"{found['metric']} on {how}, intervals of 95 % over {over}; verdicts are corrected together (Holm)",
        f"the whole recipe {_mean(found['whole'])}, without any part {_mean(found['bare'])}",
        "",
        f"{'part':<36}{'taken out of the whole':<44}{'put in alone'}",
    ]
    for part in found["parts"]:
        alone = _cell(part["add_one_in"], "budget" if part["alone"] else "cannot stand alone")
        lines.append(f"{part['title']:<36}{_cell(part['leave_one_out'], 'budget'):<44}{alone}")
    lines += [f"{arm} diverged: {message}" for arm, message in found["diverged"].items()]
    cost = found["cost"]
    lines += ["", f"cost: {cost['runs']} runs, {cost['stages']} stages trained in {cost['seconds']:.0f} s"]
    lines += [f"all of it: {target}"]
    if not found["complete"]:
        lines.append(f"next: hft ablate {typed(recipe)}   (goes on where the budget ended)")
    else:
        lines.append("next: write `when: helps` on what a run should settle by itself, or remove what does not help")
    return "\n".join(lines)


def _mean(values: list[float] | None) -> str:
    return "–" if values is None else f"{sum(values) / len(values):.4f}"


def _cell(entry: dict[str, Any] | None, otherwise: str) -> str:
    """The difference that a part makes, with its interval and verdict."""
    from hft_core.pipeline.gates import diverging

    if entry is None:
        return f"– ({otherwise})"
    if "diverged" in entry:
        return f"– (training {diverging(entry)} diverged) {entry['verdict']}"
    return f"{entry['difference']:+.4f} ({entry['low']:+.4f} … {entry['high']:+.4f}) {entry['verdict']}"
