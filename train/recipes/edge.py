"""Recipes of the edge family, and what its shipped weights never learn from."""

from dataclasses import replace

from crispstream.train.data.pool import PoolPlan

from .recipe import Recipe
from .registry import RECIPES

HELD_OUT = (
    "gopro_GOPR0477*",
    "GOPR0477*",
    "osfm_berlin*",
    "brighton_*",
    "skimage_*",
    "budgie_casa_mila*",
    "budgie_singaporean_cityscape*",
    "elementary_barn_grafitti*",
    "solus_forest_street*",
    "deepinun_sourav*",
    "sam2_dog*",
    "dashcam_carnd*",
)
"""Sources that judge the shipped weights and are never learnt from."""


@RECIPES.register("edge-n")
def edge_n() -> Recipe:
    """The shipped edge-n."""
    return Recipe("edge-n", steps=30_000, learning_rate=2e-3, pool=PoolPlan(exclude=HELD_OUT))


@RECIPES.register("edge-s")
def edge_s() -> Recipe:
    """The shipped edge-s."""
    return Recipe("edge-s", steps=20_000, pool=PoolPlan(exclude=HELD_OUT))


@RECIPES.register("edge-n-tune")
def edge_n_tune() -> Recipe:
    """A last stage for edge-n, to be started --from a checkpoint."""
    return replace(edge_n(), steps=7_500, learning_rate=1e-3)


@RECIPES.register("edge-s-tune")
def edge_s_tune() -> Recipe:
    """A last stage for edge-s, to be started --from a checkpoint."""
    return replace(edge_s(), steps=4_500, learning_rate=6e-4)


def _qat(model: str, learning_rate: float, flavour: str) -> Recipe:
    """Return the stage that fits trained weights to an INT8 graph; --from a checkpoint.

    Short and slow, for only the rounding is new. The average is over few steps, but an average:
    weights that swing over the edge between two integers settle.
    """
    return Recipe(
        model,
        steps=1_000,
        learning_rate=learning_rate,
        average_decay=0.99,
        objective="charbonnier-distilled",
        weights=(("teacher", 1.0),),
        quantised=flavour,
        pool=PoolPlan(crops_per_image=16, crops_per_video=48, exclude=HELD_OUT),
    )


@RECIPES.register("edge-n-qat")
def edge_n_qat() -> Recipe:
    """edge-n for the INT8 graph of TensorRT; needs --calibration."""
    return _qat("edge-n", 5e-4, "int8")


@RECIPES.register("edge-n-qat-cpu")
def edge_n_qat_cpu() -> Recipe:
    """edge-n for the INT8 graph of ONNX Runtime on the CPU; needs --calibration."""
    return _qat("edge-n", 5e-4, "int8-cpu")


@RECIPES.register("edge-s-qat")
def edge_s_qat() -> Recipe:
    """edge-s for the INT8 graph of TensorRT; needs --calibration."""
    return _qat("edge-s", 3e-4, "int8")


@RECIPES.register("edge-s-qat-cpu")
def edge_s_qat_cpu() -> Recipe:
    """edge-s for the INT8 graph of ONNX Runtime on the CPU; needs --calibration."""
    return _qat("edge-s", 3e-4, "int8-cpu")


@RECIPES.register("edge-m")
def edge_m() -> Recipe:
    """The largest: for a GPU."""
    return Recipe("edge-m", steps=200_000, batch=32, pool=PoolPlan(exclude=HELD_OUT))


@RECIPES.register("edge-n-smoke")
def edge_n_smoke() -> Recipe:
    """A minute on a laptop: proves the path, not the quality."""
    pool = PoolPlan(crop_px=32, crops_per_image=8, crops_per_video=24, exclude=HELD_OUT)
    return replace(edge_n(), steps=200, batch=8, patch_px=24, pool=pool)
