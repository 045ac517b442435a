"""What a recipe says of plugins: files to load, names to leave out, distributions that it needs. Read before any is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hft_core.components import resolve_path
from hft_core.errors import PluginError, RecipeError
from hft_core.recipe.overrides import apply_overrides
from hft_core.recipe.yaml import Location, place_of, read_yaml
from hft_core.registry import Registry, load_registry
from hft_core.registry.record import differences
from hft_core.registry.requirements import unmet

if TYPE_CHECKING:
    from hft_core.recipe.load import LoadedRecipe

_BY = "the recipe's `disable`"
_IN_WEIGHTS = ("model", "task", "objective")
"""Kinds of components on which the saved weights of a run depend."""


@dataclass(frozen=True)
class Wanted:
    """The three keys of a recipe that are read before the rest can be understood."""

    where: str = "recipe"
    files: tuple[Path, ...] = ()
    """`plugins`."""
    disabled: tuple[str, ...] = ()
    """`disable`."""
    requires: tuple[str, ...] = ()
    """`requires`."""
    lines: Mapping[Location, int] = field(default_factory=dict)


def registry_for(
    source: Path | str | Mapping[str, Any],
    files: Iterable[Path | str] = (),
    disabled: Mapping[str, str] | None = None,
    overrides: Iterable[str] = (),
    folder: Path | None = None,
) -> Registry:
    """Load the plugins that a recipe is understood with: those that are installed, `files`, and those that it names.

    Raises RecipeError for a recipe that cannot be read, and PluginError where a requirement is not met, or a file that
    the recipe names cannot be loaded or is not allowed. What is wrong with the form of the three keys is left to
    `load_recipe`.
    """
    wanted = read(source, overrides, folder)
    _check_requirements(wanted)
    _check_allowed(wanted)
    without = dict.fromkeys(wanted.disabled, _BY) | dict(disabled or {})
    return load_registry(files, disabled=without, recipe_files=wanted.files)


def read(source: Path | str | Mapping[str, Any], overrides: Iterable[str] = (), folder: Path | None = None) -> Wanted:
    """Read `plugins`, `disable` and `requires` of a recipe, as far as they have the right form."""
    lines: dict[Location, int] = {}
    if isinstance(source, Mapping):
        raw: Any = {key: copy(source[key]) for key in ("plugins", "disable", "requires") if key in source}
        where = "recipe"
    else:
        raw, lines = read_yaml(Path(source))
        where, folder = str(source), Path(source).absolute().parent
    if not isinstance(raw, dict):
        return Wanted(where)
    own = [text for text in overrides if text.partition("=")[0].split(".")[0] in ("plugins", "disable", "requires")]
    apply_overrides(raw, own)
    try:
        files = tuple(resolve_path(text, folder) for text in _texts(raw.get("plugins")))
    except ValueError as error:
        raise RecipeError(f"{where}, {place_of(('plugins',), lines)}: {error}") from None
    return Wanted(where, files, _texts(raw.get("disable")), _texts(raw.get("requires")), lines)


def _texts(value: Any) -> tuple[str, ...]:
    return (
        tuple(str(item) for item in value if isinstance(item, (str, Path))) if isinstance(value, (list, tuple)) else ()
    )


def _check_requirements(wanted: Wanted) -> None:
    problems = []
    for index, text in enumerate(wanted.requires):
        place = f"{wanted.where}, {place_of(('requires', index), dict(wanted.lines))}"
        try:
            problems += [f"{place}: {said}" for said in unmet([text])]
        except ValueError as error:
            raise RecipeError(f"{place}: {error}") from None
    if problems:
        raise PluginError("\n".join(problems))


def _check_allowed(wanted: Wanted) -> None:
    """An allow-list holds for files that a recipe names, too: the recipe may be somebody else's."""
    allowed = {name.strip() for name in os.environ.get("HFT_ALLOWED_PLUGINS", "").split(",") if name.strip()}
    for index, file in enumerate(wanted.files if allowed else ()):
        if file.stem not in allowed:
            place = place_of(("plugins", index), dict(wanted.lines))
            raise PluginError(
                f"{wanted.where}, {place}: {file} is not loaded, for HFT_ALLOWED_PLUGINS does not have {file.stem!r}; add it, "
                f"or give --plugin {file} yourself"
            )


def require_plugins_of_earlier_run(loaded: LoadedRecipe, registry: Registry) -> None:
    """Raise PluginError where the model starts from a run whose model or task came from a plugin that is missing or another."""
    folder = loaded.recipe.model.earlier_run()
    if folder is None:
        return
    try:
        note = json.loads((folder / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return  # whoever reads it says what is wrong with it
    kept = [
        {**entry, "used": [name for name in entry.get("used", ()) if name.split()[0] in _IN_WEIGHTS]}
        for entry in note.get("plugins", ())
    ]
    if found := differences(kept, registry, loaded.recipe.requires):
        place = place_of(("model", "source"), loaded.lines)
        raise PluginError(
            "\n".join(f"{loaded.where}, {place}: the run {folder} was made with {said}" for said in found)
        )
