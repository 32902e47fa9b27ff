"""Objectives: what a network is asked for, as one number to be lowered.

An objective takes a network, a batch and the weights of its parts. Batches hold, by name: `lr`,
`lr_sharp` [B,3,h,w] and `hr` [B,3,4h,4w], BGR in 0..1; `sigma` [B,1,4h,4w] in pixels of hr;
`labels` [B,1,4h,4w]; `y_interpolated` and `y` [B,1,H,W], luma in 0..1; `teacher` [B,3,4h,4w], what
another network makes of `lr`: of a quantised training the one that it starts from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.registry import Registry

from .clip_objective import clip_loss
from .losses import (
    charbonnier,
    frequency_loss,
    gradient_loss,
    labels_loss,
    log_error,
    reduced_x4,
)
from .models.registry import NO_MAPS, Outputs

Batch = Mapping[str, Tensor]
Weights = Mapping[str, float]
Loss = Callable[[nn.Module, Batch, Weights], Tensor]


@dataclass(frozen=True)
class Objective:
    """A loss, and which fields of a batch it reads."""

    needs: tuple[str, ...]
    """Fields that a data set has, or that are computed of them."""
    loss: Loss
    taught: bool = False
    """Whether it also reads `teacher`."""


OBJECTIVES: Registry[Objective] = Registry("objective")
OBJECTIVES.register("clip")(lambda: Objective(("lr", "hr"), clip_loss))


def _objective(name: str, *needs: str, taught: bool = False) -> Callable[[Loss], Loss]:
    def keep(loss: Loss) -> Loss:
        OBJECTIVES.register(name)(lambda: Objective(needs, loss, taught))
        return loss

    return keep


def build_objective(name: str) -> Objective:
    """Return the objective called `name`.

    Raises:
        UsageError: if the name is unknown.
    """
    return OBJECTIVES.get(name)()


def outputs_of(network: nn.Module, lr: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
    """Return what `network` makes of `lr`, in fp32 however it was computed."""
    outputs = network(lr, maps)
    hr, small = (None if each is None else each.float() for each in (outputs.hr, outputs.lr))
    further = {name: each.float() for name, each in outputs.maps.items()}
    return Outputs(hr, small, further)


@_objective("charbonnier", "lr", "hr")
def _charbonnier(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The edge family's: the restored frame alone."""
    return charbonnier(outputs_of(network, batch["lr"]).restored(), batch["hr"])


@_objective("charbonnier-distilled", "lr", "hr", taught=True)
def _charbonnier_distilled(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """Quantisation-aware training's: the truth, and by L1 what the teacher restored."""
    restored = outputs_of(network, batch["lr"]).restored()
    return charbonnier(restored, batch["hr"]) + _taught(restored, batch, weights)


def _taught(restored: Tensor, batch: Batch, weights: Weights) -> Tensor:
    return weights["teacher"] * functional.l1_loss(restored, batch["teacher"])


@_objective("restore", "lr", "hr")
def _restore(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The edge family's: the restored frame, its spectrum, and the sharp LR frame.

    Weights: `fidelity` for the log of each image's error, `frequency`, and `lr` for a network that
    estimates the sharp LR frame on the side, as GFN does (Zhang et al., BMVC 2018). A weight
    that is not there is 0 and costs nothing.
    """
    return _restoration(outputs_of(network, batch["lr"]), batch["hr"], weights)


@_objective("restore-distilled", "lr", "hr", taught=True)
def _restore_distilled(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The same, and by L1 what a larger network restored."""
    outputs = outputs_of(network, batch["lr"])
    loss = _restoration(outputs, batch["hr"], weights)
    return loss + _taught(outputs.restored(), batch, weights)


def _restoration(outputs: Outputs, hr: Tensor, weights: Weights) -> Tensor:
    restored = outputs.restored()
    loss = charbonnier(restored, hr)
    if fidelity := weights.get("fidelity"):
        loss = loss + fidelity * log_error(restored, hr)
    if frequency := weights.get("frequency"):
        loss = loss + frequency * frequency_loss(restored, hr)
    if (small := weights.get("lr")) and outputs.lr is not None:
        loss = loss + small * charbonnier(outputs.lr, reduced_x4(hr))
    return loss


@_objective("l1", "lr", "hr")
def _l1(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The restored frame alone, by L1: the last stage of CMOS."""
    return functional.l1_loss(outputs_of(network, batch["lr"]).restored(), batch["hr"])


@_objective("mse", "lr", "hr")
def _mse(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The restored frame alone, by the mean square: SRResNet beside GFN."""
    return functional.mse_loss(outputs_of(network, batch["lr"]).restored(), batch["hr"])


@_objective("joint-mse", "lr", "lr_sharp", "hr")
def _joint_mse(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """GFN (Zhang et al., BMVC 2018): mean squares of both images, the small one weighted."""
    return _joint(network, batch, weights, functional.mse_loss)


@_objective("joint-l1", "lr", "lr_sharp", "hr")
def _joint_l1(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The same two images by L1: our choice for the MS2Net-style network."""
    return _joint(network, batch, weights, functional.l1_loss)


def _joint(
    network: nn.Module, batch: Batch, weights: Weights, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    outputs = outputs_of(network, batch["lr"])
    # A weight of 0 stays in the sum: every parameter keeps a gradient, as distributed training
    # expects.
    small = weights["lr"] * loss(_sharp(outputs), batch["lr_sharp"])
    return loss(outputs.restored(), batch["hr"]) + small


@_objective("deblur-l1", "lr", "lr_sharp")
def _deblur_l1(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """PreDeblur of CNLRN (Bai et al., CVPRW 2021): the small sharp image."""
    return functional.l1_loss(_sharp(outputs_of(network, batch["lr"])), batch["lr_sharp"])


def _sharp(outputs: Outputs) -> Tensor:
    if outputs.lr is None:
        raise TypeError("this network makes no sharp LR frame")
    return outputs.lr


@_objective("l1-gradient", "lr", "hr")
def _l1_gradient(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """CNLRN: L1 and the Sobel gradient loss."""
    restored = outputs_of(network, batch["lr"]).restored()
    edges = weights["gradient"] * gradient_loss(restored, batch["hr"])
    return functional.l1_loss(restored, batch["hr"]) + edges


@_objective("cascaded", "lr", "hr")
def _cascaded(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """CMSC's cascaded supervision (Hu et al., 2018) for the joint task, on colour images."""
    outputs = outputs_of(network, batch["lr"])
    stages = [image for name, image in outputs.maps.items() if name.startswith("stage_")]
    return _supervised(outputs.restored(), stages, batch["hr"], weights)


@_objective("cascaded-luma", "y_interpolated", "y")
def _cascaded_luma(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The same for super-resolution alone, on luma that was interpolated by 2, 3 or 4."""
    final, stages = network.refine(batch["y_interpolated"])  # type: ignore[operator]
    return _supervised(final, stages, batch["y"], weights)


def _supervised(final: Tensor, stages: list[Tensor], truth: Tensor, weights: Weights) -> Tensor:
    each = torch.stack([functional.mse_loss(image, truth) for image in stages]).mean()
    share = weights["final"]
    return share * functional.mse_loss(final, truth) + (1 - share) * each


@_objective("blur-and-semantics", "lr", "sigma", "labels")
def _blur_and_semantics(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """Stage 1 of CMOS (Chen et al., CVPR 2023): both maps, and both auxiliary ones."""
    maps = outputs_of(network, batch["lr"]).maps
    blur = functional.l1_loss(maps["sigma"], batch["sigma"])
    aux_blur = functional.l1_loss(maps["aux_sigma"], batch["sigma"])
    semantics = labels_loss(maps["semantics"], batch["labels"])
    aux_semantics = labels_loss(maps["aux_semantics"], batch["labels"])
    auxiliary = weights["aux_blur"] * aux_blur + weights["aux_semantics"] * aux_semantics
    return auxiliary + weights["blur"] * blur + weights["semantics"] * semantics


@_objective("conditioned-l1", "lr", "hr", "sigma", "labels")
def _conditioned_l1(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """Stage 2 of CMOS: the true maps are given, the frame is asked for."""
    maps = {"sigma": batch["sigma"], "labels": batch["labels"].to(batch["sigma"].dtype)}
    return functional.l1_loss(outputs_of(network, batch["lr"], maps).restored(), batch["hr"])
