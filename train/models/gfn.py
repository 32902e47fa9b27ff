"""GFN, the gated fusion network, its later form, and the SRResNet it is measured against.

    x -+-> deblur  -> D -+-> LR image
       |                 `-> x G -+
       |-> D, x, S -> gate -> G   |
       `-> features -> S -------> + -> reconstruct -> HR image

Zhang et al., "Gated Fusion Network for Joint Image Deblurring and Super-Resolution", BMVC 2018.
Layers are those of the released code, which differs from the paper in its activations: ReLU in
the deblurring and reconstruction blocks, and one slope of 0.1. Without the gate G is 1: the first
steps of the training, and ablations 4 and 5. The IJCV successor applies one gate three times.

Shape letters: B batch, C channels, H height, W width of the LR frame.
"""

import copy
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .registry import MODELS, NO_MAPS, Outputs

WIDTH = 64
"""Channels at LR size of the published network, doubled at each smaller size."""

SLOPE = 0.2  # of the leaky ReLUs, but for the first enlarging step


def convolution(channels_in: int, channels_out: int, side: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution with a bias that keeps the size, or divides it by `stride`."""
    return nn.Conv2d(channels_in, channels_out, side, stride, side // 2)


def activation(slope: float = 0.0) -> nn.Module:
    """Return a ReLU, leaky if `slope` is not 0. In place: half the memory at HR size."""
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)


def initialise(network: nn.Module) -> None:
    """Draw convolutions from N(0, 2 / (k k C_out)), zero their biases: as the released code.

    Transposed ones keep torch's own start. An untrained GFN's values reach thousands, with the
    gate a million: this is why the gate is trained last.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class ResidualBlock(nn.Module):
    """x + convolution(activation(convolution(x))): no normalisation, nothing after the sum."""

    def __init__(self, channels: int, slope: float = 0.0) -> None:
        """`slope` 0 makes the deblurring flavour, `SLOPE` the super-resolution one."""
        super().__init__()
        self.first = convolution(channels, channels)
        self.act = activation(slope)
        self.second = convolution(channels, channels)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the same shape."""
        out: Tensor = x_bchw + self.second(self.act(self.first(x_bchw)))
        return out


def residual_blocks(depth: int, channels: int, slope: float = 0.0) -> nn.Sequential:
    """Return `depth` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(channels, slope) for _ in range(depth)))


class Deblurred(NamedTuple):
    """What the deblurring branch knows of a frame."""

    features: Tensor
    """D of the paper, what the gate lets through [B,C,H,W]."""
    half: Tensor
    """After the first enlargement [B,2C,H/2,W/2]."""
    quarter: Tensor
    """At the bottom [B,4C,H/4,W/4]."""
    image: Tensor | None
    """The sharp LR frame [B,3,H,W]; None once its head is dropped."""

    def sharp(self) -> Tensor:
        """Return `image`, or raise a TypeError where its head was dropped."""
        if self.image is None:
            raise TypeError("the image head was dropped; use the network before that")
        return self.image


class Deblurring(nn.Module):
    """The deblurring branch: two sizes down and up, without skips between the two ways."""

    image: nn.Module | None

    def __init__(self, width: int) -> None:
        """`width` is the number of channels at the input's size."""
        super().__init__()
        self.head = nn.Sequential(convolution(3, width, 7), activation(SLOPE))
        self.blocks = residual_blocks(6, width)
        self.down_half = nn.Sequential(convolution(width, 2 * width, stride=2), activation())
        self.blocks_half = residual_blocks(6, 2 * width)
        self.down_quarter = nn.Sequential(convolution(2 * width, 4 * width, stride=2), activation())
        self.blocks_quarter = residual_blocks(6, 4 * width)
        self.up_half = nn.Sequential(
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1), activation()
        )
        self.up = nn.Sequential(nn.ConvTranspose2d(2 * width, width, 4, 2, 1), activation())
        self.features = convolution(width, width, 7)
        self.image = nn.Sequential(convolution(width, width), activation(), convolution(width, 3))

    def forward(self, x_bchw: Tensor) -> Deblurred:
        """Read a frame [B,3,H,W] whose sides divide by 4."""
        full = self.head(x_bchw)
        half = self.down_half(full + self.blocks(full))
        quarter = self.down_quarter(half + self.blocks_half(half))
        bottom = quarter + self.blocks_quarter(quarter)
        enlarged = self.up_half(bottom)
        features = self.features(self.up(enlarged))
        image = None if self.image is None else self.image(features + full)
        return Deblurred(features, enlarged, bottom, image)


class Features(nn.Module):
    """The super-resolution branch, frame [B,3,H,W] -> features [B,C,H,W]."""

    def __init__(self, width: int) -> None:
        """`width` is C."""
        super().__init__()
        self.head = nn.Sequential(convolution(3, width, 7), activation(SLOPE))
        self.blocks = residual_blocks(8, width, SLOPE)
        self.last = convolution(width, width)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return S of the paper."""
        first = self.head(x_bchw)
        out: Tensor = first + self.last(self.blocks(first))
        return out


def _doubling(width: int, slope: float) -> nn.Sequential:
    return nn.Sequential(convolution(width, 4 * width), nn.PixelShuffle(2), activation(slope))


class Enlargement(nn.Module):
    """Features [B,C,H,W] -> image [B,3,4H,4W] in two doublings."""

    def __init__(self, width: int) -> None:
        """`width` is C."""
        super().__init__()
        self.up = _doubling(width, 0.1)
        self.up_again = _doubling(width, SLOPE)
        self.sharpen = nn.Sequential(convolution(width, width), activation(SLOPE))
        self.image = convolution(width, 3)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the image, not clamped."""
        image: Tensor = self.image(self.sharpen(self.up_again(self.up(x_bchw))))
        return image


class Reconstruction(nn.Module):
    """Fused features [B,C,H,W] -> image [B,3,4H,4W]."""

    def __init__(self, width: int) -> None:
        """`width` is C."""
        super().__init__()
        self.blocks = residual_blocks(8, width)
        self.enlarge = Enlargement(width)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the image, not clamped."""
        image: Tensor = self.enlarge(self.blocks(x_bchw))
        return image


class Gate(nn.Module):
    """Says for each feature how much of the deblurring branch is let in; not bounded."""

    def __init__(self, width: int) -> None:
        """`width` is C."""
        super().__init__()
        self.mix = nn.Sequential(convolution(2 * width + 3, width), activation(SLOPE))
        self.weigh = convolution(width, width, 1)

    def forward(self, deblurred_bchw: Tensor, x_bchw: Tensor, features_bchw: Tensor) -> Tensor:
        """Return G [B,C,H,W]."""
        gate: Tensor = self.weigh(self.mix(torch.cat([deblurred_bchw, x_bchw, features_bchw], 1)))
        return gate


class Gfn(nn.Module):
    """The gated fusion network: BGR [B,3,H,W] in 0..1 -> hr [B,3,4H,4W] and lr [B,3,H,W].

    H and W divide by `size_multiple`. The parameters of an ungated network are by name and shape
    a part of the gated one's, so that a training can go on from the one to the other.
    """

    size_multiple = 4
    output_conv = "reconstruct.enlarge.image"
    gate: Gate | None

    def __init__(self, width: int = WIDTH, gate_steps: int = 1) -> None:
        """`gate_steps` is how often the gate lets D in: 0 is ungated (G = 1), 3 the IJCV form."""
        super().__init__()
        self.gate_steps = gate_steps
        self.halo_px = 99 + gate_steps + 18  # deblurring branch, gate, reconstruction
        self.deblur = Deblurring(width)
        self.features = Features(width)
        self.gate = Gate(width) if gate_steps else None
        self.reconstruct = Reconstruction(width)
        initialise(self)

    def fused(self, x_bchw: Tensor, deblurred_bchw: Tensor) -> Tensor:
        """Return F [B,C,H,W]: each step adds G(D, x, F) D, beginning with F = S."""
        fused: Tensor = self.features(x_bchw)
        if self.gate is None:
            return fused + deblurred_bchw
        for _ in range(self.gate_steps):
            fused = fused + self.gate(deblurred_bchw, x_bchw, fused) * deblurred_bchw
        return fused

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        deblurred = self.deblur(x_bchw)
        restored = self.reconstruct(self.fused(x_bchw, deblurred.features))
        return Outputs(restored, deblurred.image)

    def without_lr_head(self) -> "Gfn":
        """Return a copy that computes `hr` only: two convolutions less, for deployment."""
        deployed = copy.deepcopy(self)
        deployed.deblur.image = None
        return deployed


class SrResNet(nn.Module):
    """GFN without its deblurring branch: the baseline, BGR [B,3,H,W] -> hr [B,3,4H,4W]."""

    size_multiple = 1
    halo_px = 20 + 18  # features, reconstruction
    output_conv = "reconstruct.enlarge.image"

    def __init__(self, width: int = WIDTH) -> None:
        """`width` is the number of channels everywhere."""
        super().__init__()
        self.features = Features(width)
        self.reconstruct = Reconstruction(width)
        initialise(self)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        return Outputs(self.reconstruct(self.features(x_bchw)))


@MODELS.register("gfn")
def gfn() -> Gfn:
    """Return the published network: 250 GMAC for 320x180."""
    return Gfn()


@MODELS.register("gfn-ungated")
def gfn_ungated() -> Gfn:
    """Return the network of the training's first steps."""
    return Gfn(gate_steps=0)


@MODELS.register("gfn-ijcv")
def gfn_ijcv() -> Gfn:
    """Return the successor, whose gate is applied three times."""
    return Gfn(gate_steps=3)


@MODELS.register("gfn-w16")
def gfn_w16() -> Gfn:
    """Return GFN at a quarter of its width, which two CPU cores can train: 16 GMAC."""
    return Gfn(width=16)


@MODELS.register("gfn-w16-ungated")
def gfn_w16_ungated() -> Gfn:
    """Return the narrow network of the training's first steps."""
    return Gfn(width=16, gate_steps=0)


@MODELS.register("srresnet")
def srresnet() -> SrResNet:
    """Return the baseline of GFN's width: 149 GMAC for 320x180."""
    return SrResNet()


@MODELS.register("srresnet-w16")
def srresnet_w16() -> SrResNet:
    """Return the baseline at a quarter of its width."""
    return SrResNet(width=16)
