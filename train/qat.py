"""Quantisation-aware fine-tuning: a network learns with the rounding of its INT8 graph.

    checkpoint -> copy, int8 rounding where the plan has it -> fine-tuned on the truth and on what
    the checkpoint makes -> checkpoint again, beside it the same plan and ranges

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
    """Return a copy of `network` with int8 rounding at exactly the placed layers."""
    copied = copy.deepcopy(network)
    for path, measured in placement.ranges.items():
        conv = copied.get_submodule(path)
        assert isinstance(conv, nn.Conv2d)  # the placement was read for this network
        grid = measured.grid(placement.flavour)
        copied.set_submodule(path, QuantisedConv(conv, grid, WEIGHT_LEVELS[placement.flavour]))
    return copied


class QuantisedTraining(Training):
    """A network in int8 arithmetic learning from patches and from itself in floating point."""

    def __init__(
        self, recipe: Recipe, placement: Placement, weights: Mapping[str, Tensor] | None = None
    ) -> None:
        """Start from `weights`; without, they come with the state of a run."""
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

    def write_beside(self, folder: Path) -> None:
        """Write plan and ranges beside the checkpoint, for `crispstream calibrate`."""
        self._placement.write(folder)
