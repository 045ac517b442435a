"""The recipe: one YAML file, checked strictly against what is installed."""

from hft_core.recipe.load import LoadedRecipe, load_recipe
from hft_core.recipe.model import Recipe, Stage

__all__ = ["LoadedRecipe", "Recipe", "Stage", "load_recipe"]
