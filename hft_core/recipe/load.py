"""Loads a recipe: read, override, validate, and check what only the whole can tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from hft_core.components import Objective, Settings
from hft_core.errors import RecipeError
from hft_core.recipe.check import check, check_parts
from hft_core.recipe.messages import messages
from hft_core.recipe.model import Recipe, TaskObjective
from hft_core.recipe.narrow import narrow
from hft_core.recipe.overrides import apply_overrides
from hft_core.recipe.plugins import require_plugins_of_earlier_run
from hft_core.recipe.sources import source_names
from hft_core.recipe.yaml import SET, Location, full_width, read_yaml
from hft_core.registry import Registry


@dataclass(frozen=True)
class LoadedRecipe:
    """A valid recipe with where it came from."""

    recipe: Recipe
    raw: dict[str, Any]
    """The plain values as written, overrides applied."""
    folder: Path
    """Where relative paths start."""
    where: str
    """The file's name, or `recipe` for a dict."""
    lines: dict[Location, int] = field(default_factory=dict)
    """The line of each entry; SET for what `--set` gave."""


def load_recipe(
    source: Path | str | Mapping[str, Any],
    registry: Registry,
    overrides: Iterable[str] = (),
    folder: Path | None = None,
) -> LoadedRecipe:
    """Load and check a recipe from a file or a dict. Raises RecipeError with all mistakes that were found."""
    lines: dict[Location, int] = {}
    if isinstance(source, Mapping):
        raw: Any = _plain(source)
        where, folder = "recipe", folder or Path.cwd()
    else:
        path = Path(source)
        raw, lines = read_yaml(path)
        where, folder = str(source), path.absolute().parent
    if not isinstance(raw, dict):
        found = str(raw).partition("\n")[0][:40]
        hint = full_width(str(raw).splitlines()) or "; for a file of data, hft new recipe --data FILE writes one"
        raise RecipeError(
            f"{where}: a recipe is a set of keys (name, data, task, model, stages), and this begins with {found!r}{hint}"
        )
    for place in apply_overrides(raw, overrides):
        lines = {written: line for written, line in lines.items() if written[: len(place)] != place}
        lines[place] = SET
    loaded = _checked(raw, narrow(registry), registry, folder, where, lines)
    require_plugins_of_earlier_run(loaded, registry)
    return loaded


def load_variant(loaded: LoadedRecipe, registry: Registry, raw: dict[str, Any]) -> LoadedRecipe:
    """Load a changed copy of a loaded recipe's plain values, with the same folder. Raises RecipeError as `load_recipe`."""
    return _checked(raw, type(loaded.recipe), registry, loaded.folder, loaded.where, {})


def _checked(
    raw: dict[str, Any],
    model: type[Recipe],
    registry: Registry,
    folder: Path,
    where: str,
    lines: dict[Location, int],
) -> LoadedRecipe:
    """Validate plain values, and check what only the whole can tell."""
    try:
        recipe = model.model_validate(raw, context={"folder": folder})
    except ValidationError as error:
        found = messages(error, raw, lines, model, registry)
        raise RecipeError("\n".join(f"{where}, {message}" for message in found)) from None
    recipe = _with_task_objectives(recipe, registry)
    _require_usual_metrics(recipe, registry, where)
    loaded = LoadedRecipe(recipe, raw, folder, where, lines)
    check(loaded)
    check_parts(loaded, lambda other: _checked(other, model, registry, folder, where, {}).recipe)
    return loaded


def _plain(value: Any) -> Any:
    """Copy nested values so that overrides do not change the caller's; paths become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Settings):
        return value.model_dump(mode="json", exclude_unset=True)
    return str(value) if isinstance(value, Path) else value


def _require_usual_metrics(recipe: Recipe, registry: Registry, where: str) -> None:
    """A recipe that names no metric is measured by its tasks' usual ones, of which at least one each has to be installed."""
    for task in recipe.all_tasks.values() if not recipe.evaluate.metrics else ():
        usual = [settings["type"] for settings in task.default_metrics]
        if usual and not set(usual) & set(registry.classes("metric")):
            raise RecipeError(f"{where}, evaluate.metrics: {registry.explain_missing('metric', usual[0])}")


def _with_task_objectives(recipe: Recipe, registry: Registry) -> Recipe:
    """Settle which objective trains which task: afterwards its `task` says so, and no ``{type: task}`` is left.

    What cannot be settled stays as it is, for `check` to complain about.
    """
    only = next(iter(recipe.all_tasks)) if len(recipe.all_tasks) == 1 else None
    stages = []
    for stage in recipe.stages:
        tuned = only if stage.stage == "finetune" else None
        objectives = [
            _settled(_claimed(objective, recipe, tuned), recipe, only, registry) for objective in stage.objectives
        ]
        stages.append(stage.model_copy(update={"objectives": objectives}))
    return recipe.model_copy(update={"stages": stages})


def _claimed(objective: Objective, recipe: Recipe, only: str | None) -> Objective:
    """Take an objective of the task's own type on the task's rows for the task's, as one writes it to set its fields."""
    if only is None or objective.task is not None or objective.needs_task:
        return objective
    usual = recipe.all_tasks[only].objective == objective.type_name()
    return objective.model_copy(update={"task": only}) if usual and source_names(objective) == ["train"] else objective


def _settled(objective: Objective, recipe: Recipe, only: str | None, registry: Registry) -> Objective:
    if not objective.needs_task:
        return objective
    name = objective.task or only
    if name not in recipe.all_tasks:
        return objective
    # Two tasks' objectives may be of one type; they are told apart by their tasks.
    title = objective.name or (None if only or objective.own_head else name)
    if not isinstance(objective, TaskObjective):
        return objective.model_copy(update={"task": name, "name": title})
    wanted = recipe.all_tasks[name].objective
    own = registry.classes(Objective.kind).get(wanted)
    if own is None:
        raise RecipeError(registry.explain_missing(Objective.kind, wanted))
    fields = objective.model_dump(exclude_unset=True, by_alias=True) | {
        "type": own.type_name(),
        "task": name,
        "name": title,
    }
    return cast(Objective, own.model_validate(fields))
