"""The edge network with every choice open that the search compares.

    x -> head -+-> sharpen (LR) ------------------------------+-> add -> refine -> [narrow] -> tail
               `-> down -> encode (LR/2) -+-> add -> decode -> up [x gate]
                             `-> down -> bottom (LR/4) -> up

The shipped members of the family are in train/models/edge.py; this one is never shipped.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.architectures_blocks import RepConv, fuse_convolutions
from crispstream.core.bicubic import cubic_kernel
from crispstream.core.pixels import SCALE
from crispstream.train.models.base import base_kernel, base_subpixels

SUBPIXELS = SCALE * SCALE


@dataclass(frozen=True)
class Shape:
    """One candidate; the defaults are the first edge-s that was shipped."""

    lr: int = 32
    """Channels at LR size."""
    half: int = 32
    """Channels at half of it."""
    quarter: int = 64
    """Channels at a quarter; 0 leaves that level out, and `bottom` with it."""
    sharpen: int = 1
    """3x3 convolutions at LR size beside the U."""
    encode: int = 2
    """At half size, on the way down."""
    bottom: int = 4
    """At quarter size."""
    decode: int = 2
    """At half size, on the way up."""
    post: int = 0
    """At LR size, after both branches have met."""
    narrow: int = 0
    """Channels that a 1x1 convolution leaves for the tail; 0: as they are."""
    tail: int = 3
    """Side of the last kernel, 3 or 1."""
    gate: bool = True
    """Whether a learnt gate says where the U is let in."""
    up: str = "nearest"
    """How features are enlarged from half size: nearest, or shuffle (four times the channels)."""
    head: str = "conv"
    """What the first strided convolution sees: conv (the features at LR size), or unshuffle (the
    frame itself, its 2x2 blocks as channels: no stride, and no wait for the features)."""
    base: str = "bilinear"
    """What the residual is added to: bilinear, bicubic or nearest (the anchor of ABPN)."""
    bound: float = 0.0
    """Largest residual in 0..1, by tanh; 0 does not bound it."""
    rep: bool = True
    """Whether 3x3 convolutions train as several branches."""

    def kmac_per_lr_pixel(self) -> float:
        """Return thousands of multiply-accumulates of what is learnt; the base is left out.

        >>> round(Shape().kmac_per_lr_pixel(), 1)
        46.4
        """
        lr, half, quarter = self.lr, self.half, self.quarter
        up = (SCALE if self.up == "shuffle" else 1) * (1 + self.gate)
        sees = 9 * lr if self.head == "conv" else 9 * 12
        full = 27 * lr + 9 * lr * lr * (self.sharpen + self.post)
        at_half = sees * half + 9 * half * half * (self.encode + self.decode) + half * lr * up
        at_quarter = 9 * half * quarter + 9 * quarter * quarter * self.bottom + quarter * half
        last = (self.narrow or lr) * 3 * SUBPIXELS * self.tail**2 + lr * self.narrow
        return (full + at_half / 4 + (at_quarter / 16 if quarter else 0) + last) / 1e3


def bicubic_base() -> Tensor:
    """Return the kernel [48,3,5,5] of the one bicubic (a = -0.5), as `base_kernel` for bilinear."""
    offset = (np.arange(SCALE) + 0.5) / SCALE - 0.5
    taps = torch.from_numpy(cubic_kernel(offset[:, None] - np.arange(-2.0, 3.0))).float()
    return _by_channel(torch.einsum("ik,jl->ijkl", taps, taps).reshape(SUBPIXELS, 5, 5))


def nearest_base() -> Tensor:
    """Return the kernel [48,3,1,1] that repeats each pixel: the anchor of ABPN.

    Du et al., "Anchor-based Plain Net for Mobile Image Super-Resolution", CVPRW 2021.
    """
    return _by_channel(torch.ones(SUBPIXELS, 1, 1))


def _by_channel(square: Tensor) -> Tensor:
    kernel = torch.zeros(3, SUBPIXELS, 3, *square.shape[1:])
    for channel in range(3):
        kernel[channel, :, channel] = square
    return kernel.reshape(3 * SUBPIXELS, 3, *square.shape[1:])


BASES: dict[str, Callable[[], Tensor]] = {
    "bilinear": base_kernel,
    "bicubic": bicubic_base,
    "nearest": nearest_base,
}


class Tail(nn.Module):
    """The last convolution, whose output may be bounded.

    The bound is a parameter that does not learn: an exporter that scales the tail's parameters
    (`export/graph.py` does) then scales what comes out of it.
    """

    def __init__(self, channels: int, shape: Shape) -> None:
        """Build the layer; a new one adds next to nothing."""
        super().__init__()
        out = 3 * SUBPIXELS
        self.layer = _conv(shape, channels, out) if shape.tail == 3 else nn.Conv2d(channels, out, 1)
        weight = self.layer.conv.weight if isinstance(self.layer, RepConv) else self.layer.weight
        with torch.no_grad():
            weight.mul_(0.01)
        bound = nn.Parameter(torch.tensor(shape.bound), requires_grad=False)
        self.bound = bound if shape.bound else None

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return sub-pixels [B,48,H,W]."""
        out: Tensor = self.layer(x_bchw)
        return out if self.bound is None else self.bound * (out / self.bound).tanh()


class Candidate(nn.Module):
    """A candidate: BGR [B,3,H,W] in 0..1 -> BGR [B,3,4H,4W], not clamped."""

    size_multiple = 4
    base: Tensor

    def __init__(self, shape: Shape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        self.shape = shape
        lr, half, quarter = shape.lr, shape.half, shape.quarter
        self.head = _conv(shape, 3, lr)
        self.sharpen = _stack(shape, lr, shape.sharpen)
        sees_frame = shape.head == "unshuffle"
        self.down_half = _conv(shape, 12, half) if sees_frame else _conv(shape, lr, half, 2)
        self.encode = _stack(shape, half, shape.encode)
        if quarter:
            self.down_quarter = _conv(shape, half, quarter, 2)
            self.bottom = _stack(shape, quarter, shape.bottom)
            self.up_half = nn.Conv2d(quarter, half, 1)
        self.decode = _stack(shape, half, shape.decode)
        self.up = nn.Conv2d(half, lr * (SCALE if shape.up == "shuffle" else 1), 1)
        self.gate = nn.Conv2d(half, self.up.out_channels, 1) if shape.gate else None
        self.post = _stack(shape, lr, shape.post)
        self.narrow = nn.Conv2d(lr, shape.narrow, 1) if shape.narrow else None
        self.tail = Tail(shape.narrow or lr, shape)
        self.register_buffer("base", BASES[shape.base](), persistent=False)

    def residual(self, x_bchw: Tensor) -> Tensor:
        """Return what is added to the enlarged frame, as sub-pixels [B,48,H,W]."""
        features = functional.relu(self.head(x_bchw))
        is_shuffled = self.shape.head == "unshuffle"
        seen = functional.pixel_unshuffle(x_bchw, 2) if is_shuffled else features
        fine = self.encode(functional.relu(self.down_half(seen)))
        if self.shape.quarter:
            coarse = self.bottom(functional.relu(self.down_quarter(fine)))
            fine = fine + _double(self.up_half(coarse))
        joined = self.post(self.sharpen(features) + self._let_in(self.decode(fine)))
        if self.narrow is not None:
            joined = functional.relu(self.narrow(joined))
        out: Tensor = self.tail(joined)
        return out

    def _let_in(self, context: Tensor) -> Tensor:
        up: Tensor = self.up(context)
        if self.gate is not None:
            up = up * self.gate(context).sigmoid()
        return functional.pixel_shuffle(up, 2) if self.shape.up == "shuffle" else _double(up)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Restore a batch of frames."""
        subpixels = self.residual(x_bchw).float() + base_subpixels(x_bchw.float(), self.base)
        return functional.pixel_shuffle(subpixels, SCALE)

    def deployed(self) -> "Candidate":
        """Return a copy that computes the same, every 3x3 convolution as one kernel.

        What is exported, timed and counted is this; branches cost only training.
        """
        fused: Candidate = fuse_convolutions(copy.deepcopy(self).eval())  # type: ignore[assignment]
        return fused


def _conv(shape: Shape, channels_in: int, channels_out: int, stride: int = 1) -> Any:  # noqa: ANN401
    if shape.rep:
        return RepConv(channels_in, channels_out, stride)
    return nn.Conv2d(channels_in, channels_out, 3, stride, 1)


def _stack(shape: Shape, channels: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [_conv(shape, channels, channels), nn.ReLU()]
    return nn.Sequential(*layers)


def _double(x_bchw: Tensor) -> Tensor:
    return functional.interpolate(x_bchw, scale_factor=2.0, mode="nearest")
