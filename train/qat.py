"""Quantisation-aware fine-tuning: a network learns with the rounding of its INT8 graph.

    checkpoint -> deployed copy, int8 rounding where the plan has it -> fine-tuned on the truth
    and on what the checkpoint makes -> training form again, beside it the same plan and ranges

The ranges of the inputs stay as they were measured, those of the weights follow the weights. Only
calibration writes graphs with Q/DQ: from the checkpoint's fp32 graph and these ranges. The CPU's
graph also rounds what a quantised layer gives to an unquantised one; this is not learnt.

Shape letters: B batch, C channels, H height, W width.
"""

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from crispstream.core.int8 import WEIGHT_LEVELS

from .models.blocks import RepConv, fuse_convolutions
from .placement import Grid, Placement
from .recipes.recipe import Recipe
from .task import Training


class QuantisedConv(nn.Conv2d):
    """A convolution of values on integer grids, computed in floating point.

    Gradients pass the rounding as if it were not there, and stop where the grid's end clips.
    """

    def __init__(self, conv: nn.Conv2d, grid: Grid, weight_steps: int) -> None:
        """Take over `conv`'s parameters; `grid` is the input's."""
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            bias=conv.bias is not None,
            padding_mode=conv.padding_mode,
        )
        self.load_state_dict(conv.state_dict())
        self.grid = grid
        self.weight_steps = weight_steps

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Convolve [B,C_in,H,W] as the plain convolution does."""
        rounded = torch.fake_quantize_per_tensor_affine(x_bchw, *self.grid)
        convolved: Tensor = self._conv_forward(rounded, self.rounded_weight(), self.bias)
        return convolved

    def rounded_weight(self) -> Tensor:
        """Return the weights on the grids of their output channels, whose largest are exact."""
        amax = self.weight.detach().abs().amax(dim=(1, 2, 3))
        scales = torch.where(amax > 0, amax / self.weight_steps, 1)  # zeros are zeros on any grid
        zeros = torch.zeros_like(scales, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(
            self.weight, scales, zeros, 0, -self.weight_steps, self.weight_steps
        )


def quantised_copy(network: nn.Module, placement: Placement) -> nn.Module:
    """Return the deployed form of `network` with int8 rounding at exactly the placed layers."""
    deployed = fuse_convolutions(copy.deepcopy(network))
    for path, measured in placement.ranges.items():
        conv = deployed.get_submodule(path)
        assert isinstance(conv, nn.Conv2d)  # the placement was read for this network
        grid = measured.grid(placement.flavour)
        deployed.set_submodule(path, QuantisedConv(conv, grid, WEIGHT_LEVELS[placement.flavour]))
    return deployed


def training_form(deployed: nn.Module, trained: nn.Module) -> dict[str, Tensor]:
    """Return weights with which `trained`, a network in training form, computes `deployed`.

    Exactly the same kernels: a fused one becomes the 3x3 branch, and the others add up to zero.
    """
    weights = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    fused = deployed.state_dict()
    weights |= {name: tensor for name, tensor in fused.items() if name in weights}
    for path, block in trained.named_modules():
        if isinstance(block, RepConv):
            weights[f"{path}.conv.weight"] = fused[f"{path}.weight"]
            weights[f"{path}.conv.bias"] = fused[f"{path}.bias"]
            weights[f"{path}.squeeze"].zero_()
            point = weights[f"{path}.point"].zero_()
            if block.identity:
                point.fill_diagonal_(-1)
    return weights


class QuantisedTraining(Training):
    """A network in int8 arithmetic learning from patches and from itself in floating point."""

    def __init__(
        self, recipe: Recipe, placement: Placement, weights: Mapping[str, Tensor] | None = None
    ) -> None:
        """Start from `weights` in training form; without, they come with the state of a run."""
        super().__init__(recipe)
        self.teacher = self.network.eval()
        if weights is not None:
            self.teacher.load_state_dict(weights)
        self.network = quantised_copy(self.teacher, placement)
        self.teacher.requires_grad_(False)
        self._placement = placement

    def batch_of(self, patches: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return patches as floats, and as `teacher` what the starting network makes of them."""
        batch = super().batch_of(patches)
        with torch.no_grad():
            return {**batch, "teacher": self.teacher(batch["lr"]).restored()}

    def learnt(self) -> dict[str, Tensor]:
        """Return the weights in training form."""
        return training_form(self.network, self.teacher)

    def write_beside(self, folder: Path) -> None:
        """Write plan and ranges beside the checkpoint, for `crispstream calibrate`."""
        self._placement.write(folder)
