"""Fine-tuning: a trained edge network learns a little more, from a user's own footage.

Short and slow, so that what the network can do already is kept: see docs/fine-tuning.md for what
it gained on footage like the user's and lost elsewhere.
"""

from dataclasses import replace

from crispstream.train.data.pool import PoolPlan
from crispstream.train.schedules import Schedule

from .recipe import Optimizer, Recipe
from .registry import RECIPES, build_recipe

TUNED = ("edge-n", "edge-s", "edge-m", "edge-s-r")

STEPS = 1_500
LEARNING_RATE = 2e-4
AVERAGE_DECAY = 0.999
"""A fifth of what is kept is the weights that it began with, the rest an average of the way, so
that less is forgotten than at the end of the way: see docs/fine-tuning.md. (Wortsman et al.,
"Robust fine-tuning of zero-shot models", CVPR 2022, mix both ends.)"""

PATCH_PX = 56
"""Crops are no larger: with the margin for blur 272 pixels of a picture, so that 640x360 will do.
Smaller patches would show a network little but its own padding."""


def fine_tuning(recipe: Recipe) -> Recipe:
    """Return the short form of a recipe, to be started from trained weights.

    Loss and degradations stay, but a user has no teacher; optimiser and rate are plain, whatever
    the whole training needs. A user has few videos and no photographs: each gives more frames and
    crops than in a whole training: about ten passes over those of three videos.
    """
    pool, patch_px = recipe.pool, recipe.patch_px
    if isinstance(pool, PoolPlan):
        patch_px = PATCH_PX
        pool = replace(
            pool, crop_px=patch_px, frames_per_video=48, crops_per_video=576, crops_per_image=40
        )
    return replace(
        recipe,
        steps=STEPS,
        epochs=0,
        patch_px=patch_px,
        patches=(),
        learning_rate=LEARNING_RATE,
        average_decay=AVERAGE_DECAY,
        objective=recipe.objective.removesuffix("-distilled"),
        schedule=Schedule(),
        optimizer=Optimizer(),
        pool=pool,
    )


def _register(name: str) -> None:
    RECIPES.register(f"{name}-tune")(lambda: fine_tuning(build_recipe(name)))


for _name in TUNED:
    _register(_name)
