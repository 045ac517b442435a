"""The parts of a recipe that it can do without: what `when: helps` may stand on, and what an ablation takes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

from hft_core.components import Component
from hft_core.errors import DataError, HftError
from hft_core.recipe.model import SPLITS, Recipe, Stage
from hft_core.recipe.sources import trained_tasks
from hft_core.recipe.walk import entries
from hft_core.recipe.yaml import Location

_TRAINED_BY = ("prepare", "stages")
"""What decides the weights; all else is data, or measures and exports them."""
_LISTS = ("clean", "augment", "stages", "objectives", "techniques")
"""Lists whose entries are parts of an ablation."""

Raw = dict[str, Any]
Load = Callable[[Raw], Recipe]
"""Gives the recipe of plain values. Raises HftError where they are none."""


def gated(recipe: Recipe) -> list[Location]:
    """The entries with `when: helps`, in the recipe's order."""
    return [place[:-1] for place, value in entries(recipe, ()) if place and place[-1] == "when" and value is not None]


def without(raw: Raw, places: Sequence[Location]) -> Raw:
    """Copy a recipe's plain values without some of its entries, and without the sources of text that only these read."""
    copy = deepcopy(raw)
    for place in sorted(places, key=_from_the_end, reverse=True):
        if any(place[: len(other)] == other for other in places if other != place):
            continue  # it goes with what it stands in
        holder: Any = copy
        for step in place[:-1]:
            holder = holder[step]
        del holder[place[-1]]
    for name in _read(raw) - _read(copy) - set(SPLITS):
        copy["data"].pop(name, None)  # a source that only they read
    return copy


def _read(raw: Raw) -> set[str]:
    """The data sources that the objectives of a recipe name."""
    names = [objective.get("data", []) for stage in raw["stages"] for objective in stage["objectives"]]
    return {name for given in names for name in ([given] if isinstance(given, str) else given)}


def ungated(raw: Raw) -> Raw:
    """Copy a recipe's plain values with every `when` taken off: all that it has is there for good."""
    found: Raw = _ungated(raw, ())
    return found


def _ungated(value: Any, place: Location) -> Any:
    if isinstance(value, dict):
        named = place in ((), ("data",), ("tasks",))  # where keys are names that the user has given
        return {key: _ungated(item, (*place, key)) for key, item in value.items() if key != "when" or named}
    if isinstance(value, list):
        return [_ungated(item, (*place, index)) for index, item in enumerate(value)]
    return value


def _from_the_end(place: Location) -> list[tuple[int, int, str]]:
    """Sorts places so that, from the last one on, taking one out moves none that is still to go."""
    return [(0, step, "") if isinstance(step, int) else (1, 0, step) for step in place]


def optional_parts(recipe: Recipe, raw: Raw, load: Load) -> list[Location]:
    """The entries that a recipe is valid without, each taken out alone, in its order; gated or not."""
    plain = ungated(raw)
    return [place for place in _candidates(recipe) if refusal(recipe, plain, [place], load) is None]


def _candidates(recipe: Recipe) -> Iterator[Location]:
    for place, value in entries(recipe, ()):
        listed = len(place) > 1 and place[0] in _TRAINED_BY and place[-2] in _LISTS and isinstance(place[-1], int)
        if listed and isinstance(value, Component | Stage):
            yield place


def refusal(recipe: Recipe, raw: Raw, places: Sequence[Location], load: Load) -> str | None:
    """Say why a recipe is none without some of its entries, or trains a task less; None where all is well."""
    try:
        left = load(without(raw, places))
    except DataError:
        return None  # a file that is missing is missing with them, too
    except HftError as error:
        return str(error).splitlines()[0]
    gone = [name for name in _trained(recipe) if name not in _trained(left)]
    return f"no stage would train the task {gone[0]!r}" if gone else None


def _trained(recipe: Recipe) -> list[str]:
    return list(trained_tasks(recipe, range(len(recipe.stages))))


def plain_recipe(recipe: Recipe) -> Recipe | None:
    """Plain fine-tuning of the recipe: the last stages that train its tasks, on these alone; None where it is nothing else.

    Neither other stages nor other objectives, augmenters or techniques, but for those that change the modules of the net:
    without a LoRA the model may not fit. Cleaning stays, and so do the stages' own settings.
    """
    stages: list[Stage] = []
    covered: set[str] = set()
    for stage in reversed(recipe.stages):
        own = [objective for objective in stage.objectives if (objective.trained_task or "") not in ("", *covered)]
        if own:
            techniques = [technique for technique in stage.techniques if technique.changes_modules]
            stages.insert(0, stage.model_copy(update={"objectives": own, "techniques": techniques}))
            covered |= {objective.trained_task or "" for objective in own}
    if not stages or (stages == recipe.stages and not recipe.prepare.augment):
        return None
    prepare = recipe.prepare.model_copy(update={"augment": []})
    return recipe.model_copy(update={"stages": stages, "prepare": prepare})


def part_title(recipe: Recipe, place: Location) -> str:
    """What people call a part: its name or type, and where it stands if that is within a stage."""
    value: Any = recipe
    stage = ""
    for depth, step in enumerate(place):
        value = value[step] if isinstance(step, int) else getattr(value, step)
        if isinstance(value, Stage) and depth < len(place) - 1:
            stage = f" of {value.name or f'{value.stage}-{step}'}"
    if isinstance(value, Stage):
        return f"stage {value.name or f'{value.stage}-{place[-1]}'}"
    return f"{value.kind} {value.title}{stage}" if isinstance(value, Component) else ".".join(map(str, place))


def check_gates(recipe: Recipe, raw: Raw, load: Load) -> Iterator[tuple[Location, str]]:
    """What is wrong with the entries that have `when: helps`."""
    places = gated(recipe)
    if not places:
        return
    plain = ungated(raw)
    for place in places:
        if place[0] not in _TRAINED_BY:
            yield (
                (*place, "when"),
                "`when: helps` may stand on what the weights depend on: stages, objectives, techniques, cleaners, augmenters; "
                "remove it",
            )
        elif reason := refusal(recipe, plain, [place], load):
            yield (
                (*place, "when"),
                f"`when: helps` may drop this entry, and the recipe is not valid without it: {reason}",
            )
    if recipe.evaluate.seeds == 1:
        yield (
            (*places[0], "when"),
            "`when: helps` needs several seeds, for with one nobody can tell an effect from luck; set `evaluate: {seeds: 3}` or "
            "more (5 see smaller differences)",
        )
    if not recipe.all_tasks:
        yield (*places[0], "when"), "`when: helps` needs a `task`, by whose figures it decides; remove it, or add one"
    allowed = [place for place in places if place[0] in _TRAINED_BY]
    if len(allowed) > 1 and (reason := refusal(recipe, plain, allowed, load)):
        yield (
            (*allowed[0], "when"),
            f"the gates may drop all of their entries, and the recipe is not valid without: {reason}",
        )
