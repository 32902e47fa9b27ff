"""The training of a checkpoint in words, from the fields of its recipe."""

from typing import Any

from crispstream.train.checkpoint import Checkpoint
from crispstream.train.data.clips import ClipPlan
from crispstream.train.data.pool import PoolPlan
from crispstream.train.degrade.camera import CameraRange
from crispstream.train.degrade.pipeline import Degradation
from crispstream.train.recipes.recipe import Recipe


def training(checkpoint: Checkpoint) -> str:
    """Return a paragraph; the whole recipe is in the bundle."""
    recipe = checkpoint.recipe
    stages = " Then: ".join(_stage(stage) for stage in recipe.stages())
    return (
        f"{stages}\n\n{degradation(recipe.pool)} Every setting is in `bundle.json` under "
        "`training`."
    )


def _stage(stage: Recipe) -> str:
    optimizer = {"adam": "Adam", "sgd": "SGD", "muon": "Muon"}[stage.optimizer.kind]
    parts = ", ".join(f"{name} {weight:g}" for name, weight in stage.weights)
    average = (
        f"moving average of the weights, decay {stage.average_decay:g}"
        if stage.average_decay
        else "no average of the weights"
    )
    return (
        f"{stage.steps:,} steps of {_batches(stage)}; {optimizer}, learning rate "
        f"{stage.learning_rate:g} at most ({stage.schedule.kind}); loss {stage.objective}"
        f"{f' ({parts})' if parts else ''}; {average}."
    )


def _batches(stage: Recipe) -> str:
    if not stage.patches:
        return f"{stage.batch} {_sized(stage.patch_px)}"
    return ", then ".join(
        f"{batch} {_sized(side_px)} for {share:.0%} of them"
        for share, side_px, batch in stage.patches
    )


def _sized(patch_px: int) -> str:
    return f"patches of {patch_px}x{patch_px} LR pixels" if patch_px else "samples as they are"


def degradation(plan: Any) -> str:  # noqa: ANN401 - any plan of a recipe
    """Say what was done to sharp pictures."""
    if isinstance(plan, PoolPlan):
        return _of_frames(plan.degradation)
    if isinstance(plan, ClipPlan):
        return f"Clips of {plan.frames} frames along camera paths of many exposures."
    return "The data set was taken as it is."


def _of_frames(plan: Degradation) -> str:
    motion, front, light = plan.motion, plan.foreground, plan.exposure
    return (
        f"Sharp pictures are blurred in linear light along random camera paths of up to "
        f"{motion.longest_px:g} px of the sharp image ({motion.still_share:.0%} without motion, "
        f"{motion.pan_share:.0%} of the others straight), tone curves of {plan.gamma[0]:g} to "
        f"{plan.gamma[1]:g}; {plan.soft_share:.0%} of scenes are soft by nature, "
        f"{plan.lens.share:.0%} out of focus, {front.share:.0%} have an object that moves on its "
        f"own, {plan.enlarged_share:.0%} were enlarged before, {light.dark_share:.0%} are too dark "
        f"and {light.bright_share:.0%} too bright. Bicubic x1/4, {_camera(plan.camera)}."
    )


def _camera(camera: CameraRange) -> str:
    return (
        f"then nothing more for {camera.clean_share:.0%}, else shot and read noise; "
        f"{camera.jpeg_share:.0%} through JPEG ({camera.jpeg_quality[0]} to "
        f"{camera.jpeg_quality[1]}), {camera.h264_share:.0%} through H.264 (CRF "
        f"{camera.h264_crf[0]} to {camera.h264_crf[1]})"
    )
