"""A teacher: a trained network whose answers another one learns from, beside the truth.

Distillation (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015): what a larger
network restores is nearer to what a small one can restore than the truth is.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from crispstream.core.errors import UsageError

from .checkpoint import load_checkpoint
from .objectives import build_objective, outputs_of
from .recipes.recipe import Recipe


class Teacher:
    """A network that is asked and never learns.

    No module, so that neither the state of a training nor its averages hold it.
    """

    def __init__(self, network: nn.Module) -> None:
        """Take over `network`."""
        self._network = network.eval().requires_grad_(False)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, lr_bchw: Tensor) -> Tensor:
        """Return what the teacher restores of [B,3,H,W]: [B,3,4H,4W], in fp32."""
        self._network.to(lr_bchw.device)
        with torch.no_grad():
            return outputs_of(self._network, lr_bchw).restored()

    def __deepcopy__(self, _: object) -> "Teacher":
        """Return itself: the average of a training needs no teacher of its own."""
        return self


def learns_from_teacher(stage: Recipe) -> bool:
    """Return whether a stage learns from a teacher that a user must name.

    The teacher of a quantised training is what it starts from.
    """
    return build_objective(stage.objective).taught and not stage.quantised


def teacher_for(recipe: Recipe, checkpoint: Path | None) -> Teacher | None:
    """Return the teacher of a recipe's stages, None if no stage has one.

    Raises:
        UsageError: if a stage needs one and there is no checkpoint, or the other way round, or if
            the checkpoint's network takes no patches of these sizes.
        TrainError: if the checkpoint cannot be read.
    """
    taught = [stage for stage in recipe.stages() if learns_from_teacher(stage)]
    if checkpoint is None:
        if taught:
            raise UsageError(
                f"the objective '{taught[0].objective}' learns from a teacher; name the "
                "checkpoint of a larger network: --teacher CHECKPOINT"
            )
        return None
    if not taught:
        raise UsageError(
            f"--teacher is for objectives that end in -distilled, and this recipe's is "
            f"'{recipe.objective}'; leave it out, or choose another recipe"
        )
    network = load_checkpoint(checkpoint).network()
    _refuse_sizes(taught, checkpoint, int(network.size_multiple))  # type: ignore[arg-type]
    return Teacher(network)


def _refuse_sizes(taught: list[Recipe], checkpoint: Path, multiple: int) -> None:
    sides = {phase.patch_px for stage in taught for phase in stage.phases()}
    if odd := sorted(side for side in sides if side % multiple):
        raise UsageError(
            f"the network of '{checkpoint}' takes sizes that {multiple} divides, and the recipe's "
            f"patches have {odd[0]} pixels; choose another teacher, or other patches"
        )
