"""Smoke twins: a published recipe in miniature, to prove its path on a laptop.

A twin has the same stages, objectives and shapes of schedule, but a few steps of each, small
patches, and learns from any folder of pictures.
"""

from collections.abc import Callable
from dataclasses import replace

from crispstream.train.data.defocus_pool import DefocusPlan
from crispstream.train.data.pool import PoolPlan
from crispstream.train.data.samples import BuiltPlan, Plan
from crispstream.train.models.cmos import TINY

from .edge import HELD_OUT
from .recipe import Recipe
from .registry import RECIPES

SMOKE_STEPS = 60
SMOKE_POOL = PoolPlan(crop_px=32, crops_per_image=8, crops_per_video=24, exclude=HELD_OUT)

_TINY = {
    "predeblur": "predeblur-tiny",
    "cnlrn": "cnlrn-tiny",
    "cmos-nyuv2": "cmos-tiny",
    "cmos-cityscapes": "cmos-tiny",
    "rrdb-sft": "rrdb-sft-tiny",
    "blindsr-nyuv2": "blindsr-tiny",
    "blindsr-cityscapes": "blindsr-tiny",
}
"""Networks that a laptop cannot train a step of in seconds, and their small forms."""

_KERNEL_PX = {"nyuv2-bsr": 21, "cityscapes-bsr": 61}


def _smoke(recipe: Recipe) -> Recipe:
    """Return the twin: the same stages in miniature."""
    length = recipe.epochs or recipe.steps
    schedule = recipe.schedule
    if schedule.period:
        period = max(1, round(SMOKE_STEPS * schedule.period / length))
        warm_up = round(SMOKE_STEPS * schedule.warm_up_steps / length)
        schedule = replace(schedule, period=period, per_epoch=False, warm_up_steps=warm_up)
    return replace(
        recipe,
        model=_TINY.get(recipe.model, recipe.model),
        steps=SMOKE_STEPS,
        epochs=0,
        batch=4,
        patch_px=0 if _smoke_pool(recipe) is not SMOKE_POOL else 16,
        pool=_smoke_pool(recipe),
        schedule=schedule,
        earlier=tuple(_smoke(stage) for stage in recipe.earlier),
    )


def _smoke_pool(recipe: Recipe) -> Plan:
    assert isinstance(recipe.pool, BuiltPlan)
    kernel_px = _KERNEL_PX.get(recipe.pool.kinds[0])
    return (
        SMOKE_POOL if kernel_px is None else DefocusPlan(kernel_px=kernel_px, classes=TINY.classes)
    )


Build = Callable[[], Recipe]


def register_with_twin(name: str) -> Callable[[Build], Build]:
    """Return a decorator that files a published recipe under `name`, and its twin."""

    def keep(build: Build) -> Build:
        RECIPES.register(name)(build)
        RECIPES.register(f"{name}-smoke")(lambda: _smoke(build()))
        return build

    return keep
