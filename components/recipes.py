"""How a recipe lies in its artifact."""

import os

from tfx.dsl.io import fileio

from adarec_tf.config.recipe import Recipe
from components.artifacts import RECIPE_FILE


def write_recipe(directory: str, recipe: Recipe) -> None:
    """Writes the one file of the artifact.

    Args:
      directory: of the artifact.
      recipe: what was decided.
    """
    with fileio.open(os.path.join(directory, RECIPE_FILE), "w") as file:
        file.write(recipe.to_json() + "\n")


def read_recipe(directory: str) -> Recipe:
    """Reads it again.

    Raises:
      ValueError: it is of another version.
    """
    with fileio.open(os.path.join(directory, RECIPE_FILE)) as file:
        return Recipe.from_json(file.read())
