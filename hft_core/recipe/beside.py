"""The recipes that commands write beside the one that they were given."""

from __future__ import annotations

from pathlib import Path

from hft_core.errors import RecipeError


def sign(command: str) -> str:
    """How the first line of a recipe begins that a command has written, such as `hft search`."""
    return f"# Written by {command}"


def place_beside(recipe: Path, ending: str, command: str) -> Path:
    """Where a command writes its recipe: NAME.ENDING.yaml. Raises RecipeError where a file stands there that is not its own."""
    target = recipe.with_name(f"{recipe.stem}.{ending}.yaml")
    own = target.is_file() and target.read_text("utf-8", errors="replace").startswith(sign(command))
    if target.exists() and not own:
        raise RecipeError(f"{target} is not of {command}, which would write its recipe there; rename it")
    return target
