"""The recipes by name, and the changes that a user may make to one."""

from collections.abc import Sequence
from dataclasses import replace

from crispstream.core.errors import UsageError
from crispstream.core.registry import Registry
from crispstream.train.data.samples import BuiltPlan

from .recipe import Recipe

RECIPES: Registry[Recipe] = Registry("recipe")


def _file_all() -> None:
    """Import every file of recipes, which puts it into `RECIPES`."""
    from . import edge, published, recurrent, tuning  # noqa: F401


def build_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        UsageError: if `name` is unknown; the message lists the known names.
    """
    _file_all()
    return RECIPES.get(name)()


def recipe_names() -> list[str]:
    """Return the names of all recipes, sorted."""
    _file_all()
    return RECIPES.names()


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with so many steps in each of its stages."""
    earlier = tuple(with_steps(stage, steps) for stage in recipe.earlier)
    return replace(recipe, steps=steps, epochs=0, earlier=earlier)


def without_files(recipe: Recipe, patterns: Sequence[str]) -> Recipe:
    """Return the recipe that also leaves out files of such names.

    Raises:
        UsageError: if the recipe learns from a built set, which is taken whole.
    """
    if not patterns:
        return recipe
    pool = recipe.pool
    if isinstance(pool, BuiltPlan):
        raise UsageError(
            f"--exclude is for folders of pictures, and this recipe takes a data set of the kind "
            f"{pool.kinds[0]} whole; build the set from a folder without these files"
        )
    earlier = tuple(without_files(stage, patterns) for stage in recipe.earlier)
    return replace(recipe, pool=replace(pool, exclude=(*pool.exclude, *patterns)), earlier=earlier)
