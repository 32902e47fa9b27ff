"""The edge family: what people deploy. Everything but the last shuffle runs at low resolution.

    x -> head -+-> sharpen (LR) ----------------------------+-> add -> tail -> 48 channels
               `-> down -> encode (LR/2) -+-> add -> decode -> up x gate
                             `-> down -> bottom (LR/4) -> up

Two branches as in GFN (Zhang et al., BMVC 2018): one keeps super-resolution features at LR
size, a U-shaped one sees far enough to undo motion blur, and a learnt gate says where the
second is let into the first. The 48 channels are a residual over the interpolated frame, see
`base.py`.

3x3 convolutions, ReLU and nearest enlargement only, channels in sixteens: what TensorRT fuses
and what fills a 512-bit register. No normalisation and a dozen layers keep values small, far
from FP16's limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.pixels import SCALE

from .base import base_kernel, base_subpixels
from .blocks import RepConv
from .registry import MODELS, NO_MAPS, Outputs


@dataclass(frozen=True)
class EdgeShape:
    """Channels and depths of one member of the family."""

    lr_channels: int
    """Features at LR size."""
    half_channels: int
    """Features at half of LR size."""
    quarter_channels: int
    """Features at a quarter of LR size."""
    sharpen: int
    """Convolutions of the super-resolution branch, at LR size."""
    encode: int
    """Convolutions at half size on the way down."""
    bottom: int
    """Convolutions at quarter size."""
    decode: int
    """Convolutions at half size on the way up."""

    def halo_px(self) -> int:
        """Return how many LR pixels around an output's own pixel can reach it.

        A 3x3 convolution reaches one pixel of its own grid: 1, 2 or 4 LR pixels. A strided one
        reads at the finer grid. Enlarging by 2 adds one pixel of the finer grid.
        """
        at_lr = 1 + self.sharpen + 1  # head, sharpen, tail
        down_up = 1 + 2 + 2 + 1  # two strided convolutions, two enlargements
        return at_lr + down_up + 2 * (self.encode + self.decode) + 4 * self.bottom


class Edge(nn.Module):
    """An edge network: BGR [B,3,H,W] in 0..1 -> BGR [B,3,4H,4W], not clamped.

    H and W divide by `size_multiple`.
    """

    size_multiple = 4
    base: Tensor

    def __init__(self, shape: EdgeShape) -> None:
        """Build the layers of `shape`; a new network starts as bilinear interpolation."""
        super().__init__()
        lr, half, quarter = shape.lr_channels, shape.half_channels, shape.quarter_channels
        self.halo_px = shape.halo_px()
        self.head = RepConv(3, lr)
        self.sharpen = _stack(lr, shape.sharpen)
        self.down_half = RepConv(lr, half, stride=2)
        self.encode = _stack(half, shape.encode)
        self.down_quarter = RepConv(half, quarter, stride=2)
        self.bottom = _stack(quarter, shape.bottom)
        self.up_half = nn.Conv2d(quarter, half, 1)
        self.decode = _stack(half, shape.decode)
        self.up = nn.Conv2d(half, lr, 1)
        self.gate = nn.Conv2d(half, lr, 1)
        self.tail = RepConv(lr, 3 * SCALE * SCALE)
        self.register_buffer("base", base_kernel(), persistent=False)
        with torch.no_grad():
            self.tail.conv.weight.mul_(0.01)

    def residual(self, x_bchw: Tensor) -> Tensor:
        """Return what is added to the interpolated frame, as sub-pixels [B,48,H,W]."""
        features = functional.relu(self.head(x_bchw))
        fine = self.encode(functional.relu(self.down_half(features)))
        coarse = self.bottom(functional.relu(self.down_quarter(fine)))
        context = self.decode(fine + _double(self.up_half(coarse)))
        gated = self.up(context) * self.gate(context).sigmoid()
        out: Tensor = self.tail(self.sharpen(features) + _double(gated))
        return out

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        subpixels = self.residual(x_bchw) + base_subpixels(x_bchw, self.base)
        return Outputs(functional.pixel_shuffle(subpixels, SCALE))


def _stack(channels: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [RepConv(channels, channels), nn.ReLU()]
    return nn.Sequential(*layers)


def _double(x_bchw: Tensor) -> Tensor:
    return functional.interpolate(x_bchw, scale_factor=2.0, mode="nearest")


@MODELS.register("edge-n")
def edge_n() -> Edge:
    """Return the smallest: about 0.8 GMAC for 320x180."""
    return Edge(EdgeShape(16, 32, 32, sharpen=0, encode=0, bottom=2, decode=1))


@MODELS.register("edge-s")
def edge_s() -> Edge:
    """Return the middle one: about 2.8 GMAC for 320x180."""
    return Edge(EdgeShape(32, 32, 64, sharpen=1, encode=2, bottom=4, decode=2))


@MODELS.register("edge-m")
def edge_m() -> Edge:
    """Return the largest: about 12 GMAC for 320x180."""
    return Edge(EdgeShape(48, 64, 96, sharpen=3, encode=4, bottom=6, decode=4))
