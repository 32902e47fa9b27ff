"""Objectives: what a network is asked for, as one number to be lowered.

An objective takes a network, a batch and the weights of its parts. Batches hold, by name: `lr`,
`lr_sharp` [B,3,h,w] and `hr` [B,3,4h,4w], BGR in 0..1; `sigma` [B,1,4h,4w] in pixels of hr;
`labels` [B,1,4h,4w]; `y_interpolated` and `y` [B,1,H,W], luma in 0..1; `teacher` [B,3,4h,4w], what
the network that a quantised training starts from makes of `lr`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.registry import Registry

from .losses import charbonnier, gradient_loss, labels_loss

Batch = Mapping[str, Tensor]
Weights = Mapping[str, float]
Loss = Callable[[nn.Module, Batch, Weights], Tensor]


@dataclass(frozen=True)
class Objective:
    """A loss, and which fields of a batch it reads."""

    needs: tuple[str, ...]
    loss: Loss


OBJECTIVES: Registry[Objective] = Registry("objective")


def _objective(name: str, *needs: str) -> Callable[[Loss], Loss]:
    def keep(loss: Loss) -> Loss:
        OBJECTIVES.register(name)(lambda: Objective(needs, loss))
        return loss

    return keep


def build_objective(name: str) -> Objective:
    """Return the objective called `name`.

    Raises:
        UsageError: if the name is unknown.
    """
    return OBJECTIVES.get(name)()


@_objective("charbonnier", "lr", "hr")
def _charbonnier(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The edge family's: the restored frame alone."""
    return charbonnier(network(batch["lr"]).restored(), batch["hr"])


@_objective("charbonnier-distilled", "lr", "hr")
def _charbonnier_distilled(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """Quantisation-aware training's: the truth, and by L1 what the teacher restored."""
    restored = network(batch["lr"]).restored()
    taught = weights["teacher"] * functional.l1_loss(restored, batch["teacher"])
    return charbonnier(restored, batch["hr"]) + taught


@_objective("l1", "lr", "hr")
def _l1(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The restored frame alone, by L1: the last stage of CMOS."""
    return functional.l1_loss(network(batch["lr"]).restored(), batch["hr"])


@_objective("mse", "lr", "hr")
def _mse(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """The restored frame alone, by the mean square: SRResNet beside GFN."""
    return functional.mse_loss(network(batch["lr"]).restored(), batch["hr"])


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
    outputs = network(batch["lr"])
    # A weight of 0 stays in the sum: every parameter keeps a gradient, as distributed training
    # expects.
    small = weights["lr"] * loss(outputs.lr, batch["lr_sharp"])
    return loss(outputs.restored(), batch["hr"]) + small


@_objective("deblur-l1", "lr", "lr_sharp")
def _deblur_l1(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """PreDeblur of CNLRN (Bai et al., CVPRW 2021): the small sharp image."""
    return functional.l1_loss(network(batch["lr"]).lr, batch["lr_sharp"])


@_objective("l1-gradient", "lr", "hr")
def _l1_gradient(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """CNLRN: L1 and the Sobel gradient loss."""
    restored = network(batch["lr"]).restored()
    edges = weights["gradient"] * gradient_loss(restored, batch["hr"])
    return functional.l1_loss(restored, batch["hr"]) + edges


@_objective("cascaded", "lr", "hr")
def _cascaded(network: nn.Module, batch: Batch, weights: Weights) -> Tensor:
    """CMSC's cascaded supervision (Hu et al., 2018) for the joint task, on colour images."""
    outputs = network(batch["lr"])
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
    maps = network(batch["lr"]).maps
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
    return functional.l1_loss(network(batch["lr"], maps).restored(), batch["hr"])
