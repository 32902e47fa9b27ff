"""The edge family: what people deploy. Everything but the last shuffle runs at low resolution.

    x -> head (LR) -+-----------------------------------------+-> add -> refine -> tail -> 48
                    `-> down -> encode (LR/2) -+-> add -> decode -> up x gate
                                  `-> down -> bottom (LR/4) -> up

Two branches as in GFN (Zhang et al., BMVC 2018): one keeps super-resolution features at LR
size, a U-shaped one sees far enough to undo motion blur, and a learnt gate says where the
second is let into the first. The 48 channels are a residual over the interpolated frame, see
`base.py`.

3x3 convolutions, ReLU and nearest enlargement only, channels in sixteens: what TensorRT fuses
and what fills a 512-bit register. No normalisation and a dozen layers keep values small, far
from FP16's limit. Where the layers sit was searched at fixed cost: docs/experiments.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.pixels import SCALE

from .base import base_kernel, base_subpixels
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
    encode: int
    """Convolutions at half size on the way down."""
    bottom: int
    """Convolutions at quarter size."""
    decode: int
    """Convolutions at half size on the way up."""
    refine: int
    """Convolutions at LR size after both branches have met."""

    def halo_px(self) -> int:
        """Return how many LR pixels around an output's own pixel can reach it.

        A 3x3 convolution reaches one pixel of its own grid: 1, 2 or 4 LR pixels. A strided one
        reads at the finer grid. Enlarging by 2 adds one pixel of the finer grid.
        """
        at_lr = 1 + self.refine + 1  # head, refine, tail
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
        self.head = _conv(3, lr)
        self.down_half = _conv(lr, half, stride=2)
        self.encode = _stack(half, shape.encode)
        self.down_quarter = _conv(half, quarter, stride=2)
        self.bottom = _stack(quarter, shape.bottom)
        self.up_half = nn.Conv2d(quarter, half, 1)
        self.decode = _stack(half, shape.decode)
        self.up = nn.Conv2d(half, lr, 1)
        self.gate = nn.Conv2d(half, lr, 1)
        self.refine = _stack(lr, shape.refine)
        self.deblur = nn.Conv2d(half, 3 * 2 * 2, 3, padding=1)
        self.tail = _conv(lr, 3 * SCALE * SCALE)
        self.register_buffer("base", base_kernel(), persistent=False)
        with torch.no_grad():
            self.tail.weight.mul_(0.01)

    def residual(self, x_bchw: Tensor) -> Tensor:
        """Return what is added to the interpolated frame, as sub-pixels [B,48,H,W]."""
        features, fine = self.encoded(x_bchw)
        return self.joined(features, self.context(fine))

    def encoded(self, x_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return features at LR size and at half of it."""
        features = functional.relu(self.head(x_bchw))
        return features, self.encode(functional.relu(self.down_half(features)))

    def context(self, fine: Tensor) -> Tensor:
        """Return what the U-shaped branch makes of its features, at half of LR size."""
        coarse = self.bottom(functional.relu(self.down_quarter(fine)))
        seen: Tensor = self.decode(fine + _double(self.up_half(coarse)))
        return seen

    def joined(self, features: Tensor, context: Tensor) -> Tensor:
        """Let the context into the features through the gate; return sub-pixels [B,48,H,W]."""
        gated = self.up(context) * self.gate(context).sigmoid()
        out: Tensor = self.tail(self.refine(features + _double(gated)))
        return out

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames, in training also at their own size; `maps` are not used."""
        features, fine = self.encoded(x_bchw)
        context = self.context(fine)
        enlarged = base_subpixels(x_bchw, self.base)
        restored = functional.pixel_shuffle(self.joined(features, context) + enlarged, SCALE)
        return Outputs(restored, self.deblurred(x_bchw, context) if self.training else None)

    def deblurred(self, x_bchw: Tensor, context: Tensor) -> Tensor:
        """Return the sharp LR frame [B,3,H,W]; a deployed graph has no such part."""
        return x_bchw + functional.pixel_shuffle(self.deblur(context), 2)


def _conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, 1)


def _stack(channels: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [_conv(channels, channels), nn.ReLU()]
    return nn.Sequential(*layers)


def _double(x_bchw: Tensor) -> Tensor:
    return functional.interpolate(x_bchw, scale_factor=2.0, mode="nearest")


EDGE_N = EdgeShape(16, 32, 32, encode=0, bottom=2, decode=1, refine=0)
EDGE_S = EdgeShape(32, 48, 64, encode=1, bottom=3, decode=1, refine=1)
EDGE_M = EdgeShape(48, 80, 128, encode=2, bottom=6, decode=2, refine=2)


@MODELS.register("edge-n")
def edge_n() -> Edge:
    """Return the smallest: about 0.8 GMAC for 320x180."""
    return Edge(EDGE_N)


@MODELS.register("edge-s")
def edge_s() -> Edge:
    """Return the middle one: about 2.8 GMAC for 320x180."""
    return Edge(EDGE_S)


@MODELS.register("edge-m")
def edge_m() -> Edge:
    """Return the largest: about 11 GMAC for 320x180."""
    return Edge(EDGE_M)
