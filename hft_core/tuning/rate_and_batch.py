"""The one search that most people want: rate and batch size of the stage that trains the task."""

from __future__ import annotations

from typing import Any

from hft_core.errors import RecipeError
from hft_core.evidence.diagnosis.rates import rounded
from hft_core.pipeline.cost import Budget
from hft_core.pipeline.plan_arms import deciding
from hft_core.pipeline.report_diagnosis import trained_by
from hft_core.recipe.load import LoadedRecipe
from hft_core.registry import Registry

_WIDE = 30
"""How many times as high, and as low, rates are tried: a rate that is wrong by a power of ten lies well inside."""


def rate_and_batch(loaded: LoadedRecipe, registry: Registry, budget: Budget) -> dict[str, Any]:
    """Give the `search` of a recipe: rates around its own on a logarithmic scale, and half, the same and twice its batch.

    They are of the last stage that trains the task whose figure decides. Raises RecipeError where there is none, or where the
    budget is less than one trial.
    """
    recipe, seeds = loaded.recipe, loaded.recipe.evaluate.seeds
    trained = trained_by(recipe, deciding(loaded, registry)[0].task) if recipe.all_tasks else None
    if trained is None:
        raise RecipeError(
            f"{loaded.where}: no stage trains a task whose rate could be searched by its figures; add one"
        )
    if budget.runs is not None and budget.runs < seeds:
        raise RecipeError(f"--runs {budget.runs} is too small: a trial takes {seeds} runs, one per seed; give more")
    last = trained[0]
    stage = recipe.stages[last]
    size = stage.batch_size
    found: dict[str, Any] = {
        "space": {
            f"stages.{last}.optimizer.lr": {
                "low": rounded(stage.optimizer.lr / _WIDE),
                "high": rounded(stage.optimizer.lr * _WIDE),
                "log": True,
            },
            f"stages.{last}.batch_size": {"choices": sorted({max(1, size // 2), size, 2 * size})},
        },
        "study": f"{loaded.recipe.name}.rate",
    }
    if budget.runs is not None:
        found["trials"] = int(budget.runs) // seeds
    if budget.minutes is not None:
        found["minutes"] = budget.minutes
    return found
