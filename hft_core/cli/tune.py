"""`hft tune`: what a diagnosis suggests is tried, and stays if it helps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hft_core.cli.found import carry_out_found
from hft_core.cli.options import load, recipe_options
from hft_core.cli.search import command as search_command

if TYPE_CHECKING:
    from hft_core.pipeline.run import Run
    from hft_core.report.content.tuning import TuningContent


@click.command("tune")
@recipe_options
@click.option("--runs", type=int, help="Train at most so many runs (a recipe with one seed); default: 20.")
@click.option("--minutes", type=float, help="Begin no change that would end after so many minutes.")
@click.option(
    "--search",
    "by_search",
    is_flag=True,
    help="No rounds: search the rate and the batch size once, as hft search does.",
)
@click.option("--dry-run", is_flag=True, help="Prepare the data, say what the recipe itself would cost, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.pass_context
def command(
    context: click.Context,
    recipe: Path,
    overrides: tuple[str, ...],
    plugins: tuple[Path, ...],
    runs: int | None,
    minutes: float | None,
    by_search: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Tune RECIPE in rounds: diagnose, change one thing, compare; what helps stays.

    What the diagnosis suggests comes first, then higher and lower rates, more epochs, smaller batches. A change stays only if
    it helps on validation, over the recipe's seeds, as a gate decides; under 500 validation rows by cross-validation. The
    adjusted recipe is written beside RECIPE as NAME.tuned.yaml, with a comment at each change, and carried out: only there
    the test is scored. What is trained stays in the store, so the same command goes on where it was stopped.
    """
    from hft_core.errors import RecipeError
    from hft_core.pipeline.cost import Budget
    from hft_core.pipeline.gates_run import Carrier
    from hft_core.pipeline.progress import for_terminal
    from hft_core.pipeline.run import store_of, typed_errors
    from hft_core.recipe.beside import place_beside
    from hft_core.training.stopping import watch
    from hft_core.tuning import summary
    from hft_core.tuning.adjusted import COMMAND, ENDING, write_adjusted
    from hft_core.tuning.rate_and_batch import rate_and_batch
    from hft_core.tuning.tuning import RUNS, Tuning

    budget = Budget(RUNS if runs is None and minutes is None else runs, minutes)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError("hft tune runs in one process; start it without torchrun")
    loaded, registry = load(recipe, overrides, plugins)
    if by_search:
        space = f"search={json.dumps(rate_and_batch(loaded, registry, budget), ensure_ascii=False)}"
        context.invoke(
            search_command,
            recipe=recipe,
            overrides=(*overrides, space),
            plugins=plugins,
            dry_run=dry_run,
            as_json=as_json,
        )
        return
    text = recipe.read_text("utf-8-sig")  # what is tuned, whatever the file becomes meanwhile
    store, progress = store_of(loaded.folder), for_terminal()
    target = loaded.folder / "runs" / f"{loaded.recipe.name}.tune"
    place_beside(recipe, ENDING, COMMAND)
    try:
        with (
            typed_errors(registry, target),
            watch(progress.say) as stop,
            Carrier(store, progress, stop, wait=True) as carrier,
        ):
            tuning = Tuning(loaded, registry, carrier, budget)
            progress.say(f"the recipe as it is: {tuning.seeds} runs; {tuning.cost().told()}; {budget.told()}")
            if dry_run:
                return
            tuning.run(progress.say, lambda: summary.write(tuning.content(), target))
            found = tuning.content()
            summary.write(found, target)
            adjusted = write_adjusted(recipe, text, overrides, tuning.start.loaded, found)
    finally:
        progress.close()
    told = None if as_json else lambda run: _told(found, adjusted, run)
    carry_out_found(adjusted, registry, store, "tuning", found, told)


def _told(found: TuningContent, adjusted: Path, run: Run) -> str:
    """Each round in a line, what came of all, and what to type next."""
    from hft_core.recipe.words import typed
    from hft_core.report.evidence import gate_notes, gate_row
    from hft_core.report.tuning import outcome

    lines = [outcome(found)]
    for number, one in enumerate(found["rounds"], 1):
        title, _, _, gave, interval, became = gate_row(one["gate"])
        lines.append(f"  {number}. {one['name']}: {title}: {gave} {interval} {became}")
        if any((one["gate"].get("settling") or {}).values()):  # it may help, and nobody can tell yet
            lines.append(f"     {gate_notes(one['gate']).partition(': ')[2]}")
    lines.append(f"cost: {found['runs']} runs, {found['seconds']:.0f} s in this call")
    if found["ended"] == "budget":
        lines.append("the budget ended it; with a larger one the same command goes on")
    lines += [f"report: {typed(run.folder / 'report.html')}", f"recipe: {typed(adjusted)}"]
    lines.append(f"next:   hft run {typed(adjusted)}")
    return "\n".join(lines)
