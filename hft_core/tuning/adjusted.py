"""The tuned recipe: the user's own text with the changes that stayed, and above each what was seen and what it gave."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hft_core.recipe.beside import place_beside, sign
from hft_core.recipe.load import LoadedRecipe
from hft_core.recipe.overrides import apply_overrides
from hft_core.recipe.roundtrip import read_text, remark, written
from hft_core.recipe.values import put_values
from hft_core.recipe.words import change_title
from hft_core.report.content.tuning import Change, TuningContent, TuningRound
from hft_core.report.tuning import measured_on, outcome
from hft_core.store.files import put_text

COMMAND = "hft tune"
ENDING = "tuned"


def write_adjusted(
    recipe: Path, text: str, overrides: Iterable[str], start: LoadedRecipe, found: TuningContent
) -> Path:
    """Write NAME.tuned.yaml beside the recipe: `text`, which was tuned, with `-tuned` behind its name.

    Remarks for which there is no place, as in a recipe of one line, stand at the top.
    """
    raw = read_text(text)
    apply_overrides(raw, overrides)
    raw["name"] = f"{start.recipe.name}-tuned"
    kept = [one for one in found["rounds"] if one["gate"]["kept"]]
    changes = [(one, change) for one in kept for change in one["changes"]]
    put_values(raw, start, {change["path"]: change["after"] for _, change in changes})
    head = [f"{sign(COMMAND)} from {recipe.name}: {outcome(found)}"]
    for one, change in changes:
        said = _said(one, change)
        if not remark(raw, change["path"], [said]):
            head.append(f"# {said}")
    target = place_beside(recipe, ENDING, COMMAND)
    put_text(target, "\n".join(head) + "\n" + written(raw))
    return target


def _said(one: TuningRound, change: Change) -> str:
    """What was seen, what the change gave, and its interval."""
    gate = one["gate"]
    if "diverged" in gate:
        gave = "without it training diverges"
    else:
        where = measured_on(gate["folds"])
        how = f"{gate['seeds']} folds" if gate["folds"] else f"{gate['seeds']} seeds"
        gave = f"{gate['metric']} {gate['difference']:+.4f} ({gate['low']:+.4f} … {gate['high']:+.4f}, 95 %, {how}) {where}"
    seen = " ".join(one["seen"].split())
    return f"tuned: {change_title([change])}. {seen} It gave: {gave}."
