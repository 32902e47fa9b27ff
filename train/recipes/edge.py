"""Recipes of the edge family, and what its shipped weights never learn from."""

from dataclasses import replace

from crispstream.train.data.pool import PoolPlan
from crispstream.train.degrade.camera import CameraRange
from crispstream.train.degrade.exposure import ExposureRange
from crispstream.train.degrade.motion import MotionRange
from crispstream.train.degrade.pipeline import Degradation

from .recipe import Optimizer, Recipe
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


LEARNT_FROM = PoolPlan(
    crop_px=80,
    crops_per_image=70,
    crops_per_video=240,
    exclude=HELD_OUT,
    degradation=Degradation(
        motion=MotionRange(length_power=1.4),
        camera=CameraRange(
            clean_share=0.55,
            jpeg_share=0.15,
            jpeg_quality=(60, 95),
            h264_share=0.15,
            h264_crf=(16, 30),
        ),
        soft_share=0.25,
        exposure=ExposureRange(dark_share=0.06, bright_share=0.06),
    ),
)
"""What the family learns from. The shipped weights came here in three stages of other shares, which
their cards name. Milder than the ranges' own: networks this small pay for what they
seldom meet with what they always meet."""


def _edge(model: str, steps: int) -> Recipe:
    """Return the training of one member of the family, from nothing."""
    return Recipe(
        model,
        steps=steps,
        patches=((0.6, 48, 12), (0.4, 64, 8)),
        learning_rate=1e-2,
        optimizer=Optimizer("muon"),
        objective="restore",
        weights=(("fidelity", 0.03), ("frequency", 0.15), ("lr", 0.05)),
        mixed=True,
        pool=LEARNT_FROM,
    )


@RECIPES.register("edge-n")
def edge_n() -> Recipe:
    """The smallest."""
    return _edge("edge-n", 60_000)


@RECIPES.register("edge-s")
def edge_s() -> Recipe:
    """The middle one, and the one to begin with."""
    return _edge("edge-s", 60_000)


@RECIPES.register("edge-m")
def edge_m() -> Recipe:
    """The largest."""
    return _edge("edge-m", 120_000)


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


@RECIPES.register("edge-n-smoke")
def edge_n_smoke() -> Recipe:
    """A minute on a laptop: proves the path, not the quality."""
    pool = PoolPlan(crop_px=32, crops_per_image=8, crops_per_video=24, exclude=HELD_OUT)
    return replace(edge_n(), steps=200, batch=8, patch_px=24, patches=(), pool=pool)
