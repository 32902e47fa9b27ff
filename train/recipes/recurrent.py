"""Recipes of the recurrent edge networks, to be started --from their single-frame twins."""

from dataclasses import replace

from crispstream.train.data.clips import ClipPlan

from .edge import HELD_OUT
from .recipe import Recipe
from .registry import RECIPES


@RECIPES.register("edge-s-r")
def edge_s_r() -> Recipe:
    """edge-s with a memory."""
    return Recipe(
        "edge-s-r",
        steps=10_000,
        batch=4,
        patch_px=40,
        learning_rate=5e-4,
        objective="clip",
        weights=(("first", 2.0), ("truncate", 5)),
        pool=ClipPlan(exclude=HELD_OUT),
    )


@RECIPES.register("edge-s-r-smoke")
def edge_s_r_smoke() -> Recipe:
    """A minute on a laptop: proves the path, not the quality."""
    pool = ClipPlan(frames=4, crop_px=24, clips_per_image=2, clips_per_video=6, exclude=HELD_OUT)
    return replace(edge_s_r(), steps=60, patch_px=24, pool=pool)
