"""`hft search`: better values for a recipe's fields."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hft_core.cli.found import carry_out_found
from hft_core.cli.options import disabled, load, recipe_options

if TYPE_CHECKING:
    from hft_core.pipeline.run import Run
    from hft_core.report.content.search import SearchContent
    from hft_core.search.search import Search


@click.command("search")
@recipe_options
@click.option("--workers", type=click.IntRange(1, 64), help="Trials at a time; default: the recipe's, or 1.")
@click.option(
    "--storage",
    envvar="HFT_SEARCH_STORAGE",
    metavar="URL",
    help="The database of trials, such as postgresql://USER@HOST/DATABASE for many machines; default: a file in the store.",
)
@click.option("--dry-run", is_flag=True, help="Check the space and the study, say what a trial would cost, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    plugins: tuple[Path, ...],
    workers: int | None,
    storage: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Try values for the fields that RECIPE's `search` names, and carry out the best trial.

    Trials share the store: cleaning, tokenising and pre-training run once. They are compared on validation, at their best
    epochs; the test is scored once, for the best one, which is written beside RECIPE as NAME.best.yaml, trained, and exported
    as any run. The same command goes on with a search that was stopped or killed.
    """
    from hft_core.errors import RecipeError
    from hft_core.pipeline.progress import Lines
    from hft_core.pipeline.run import store_of, typed_errors
    from hft_core.recipe.beside import place_beside
    from hft_core.search import summary
    from hft_core.search.checks import settings_of
    from hft_core.search.search import Search
    from hft_core.search.winner import COMMAND, ENDING, write_best
    from hft_core.training.stopping import watch

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError("hft search runs in one process, which starts those of its trials; start it without torchrun")
    loaded, registry = load(recipe, overrides, plugins)
    text = recipe.read_text("utf-8-sig")  # the winner is made of what is searched, whatever the file becomes meanwhile
    store, say = store_of(loaded.folder), Lines().line
    target = loaded.folder / "runs" / f"{settings_of(loaded).study or loaded.recipe.name}.search"
    place_beside(recipe, ENDING, COMMAND)
    with (
        typed_errors(registry, target),
        watch(say) as stop,
        Search(
            loaded, registry, store, target, say,
            url=storage, workers=workers, plugins=plugins, disabled=disabled(),
        ) as search,
    ):  # fmt: skip
        there, limit = len(search.study.entries()), search.settings.limit
        say(
            f"{limit or 'as many as fit'} trials over {', '.join(search.settings.space)}, {search.workers} at a time"
            + (f"; {there} are there already" if there else "")
        )
        say(f"one trial, the dearer one of the ends of the space: {search.cost().told()}")
        if dry_run:
            return
        best = search.run(stop, lambda: _noted(search, target))
        found = summary.write(search, target)
        base, settings = search.base, search.settings
    winner = write_best(recipe, text, overrides, base, settings, best, found["metric"])
    say(f"trial {best.number} is the best; carrying out {winner}")
    told = None if as_json else lambda run: _told(found, recipe, winner, run)
    carry_out_found(winner, registry, store, "search", found, told)


def _noted(search: Search, target: Path) -> None:
    """Keep search.json and its page up to date, for those who look while it goes on."""
    from hft_core.search import summary

    summary.write(search, target)


def _told(found: SearchContent, recipe: Path, winner: Path, run: Run) -> str:
    """The best trials, what it took, and what to type next."""
    from hft_core.recipe.words import shown_value, typed

    complete = [trial for trial in found["trials"] if trial["figure"] is not None]
    sign = -1 if found["greater_is_better"] else 1
    lines = [f"{found['metric']} on validation; the best of {len(complete)} complete trials of {len(found['trials'])}:"]
    for trial in sorted(complete, key=lambda trial: (sign * (trial["figure"] or 0.0), trial["number"]))[:5]:
        values = ", ".join(f"{path} {shown_value(value)}" for path, value in trial["values"].items())
        lines.append(f"  {trial['figure']:.4f}  trial {trial['number']}: {values}")
    if found["written"] is not None:
        lines.append(f"  {found['written']:.4f}  the recipe as written")
    if found["importance"]:
        shares = ", ".join(f"{path} {value:.0%}" for path, value in found["importance"].items())
        lines.append(f"what matters: {shares}")
    cost = found["cost"]
    lines.append(f"cost: {cost['seconds']:.0f} s, {cost['cpu_seconds']:.0f} s of processor time in trials")
    report = run.folder / "report.html"
    lines += [f"report: {typed(report)}", f"recipe: {typed(winner)}"]
    if not found["complete"]:
        lines.append(f"next:   hft search {typed(recipe)}   (goes on with the same study)")
    lines.append(f"next:   hft run {typed(winner)}")
    return "\n".join(lines)
