"""MS2Net-style: a deblurring branch feeds a super-resolution branch stage by stage.

    x -+-> deblur -> 3 sizes -> MSFF1 -> Z -----+-------------------+
       |                                        v                   v
       `-> head ----------------> blocks -> + MSFF2 -> blocks -> + MSFF2 -> ... -> enlarge

Niu et al., "MS2Net: Multi-Scale and Multi-Stage Feature Fusion for Blurred Image
Super-Resolution", IEEE TCSVT 32(8), 2022. Only its abstract is public, and all that it says is
this: there are two branches, and the deblurring one's features are fed to the other; a first
module (MSFF1) fuses its features of several sizes into local and global information; a second
(MSFF2) fuses in several stages and filters by attention. Every layer, width and number here is
ours, and results are not the paper's. What the abstract leaves open is taken from GFN, so that a
comparison with it tells what the two modules do.

Shape letters: B batch, C channels, H height, W width of the LR frame.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .gfn import (
    SLOPE,
    WIDTH,
    Deblurred,
    Deblurring,
    Enlargement,
    ResidualBlock,
    activation,
    convolution,
    initialise,
    residual_blocks,
)
from .registry import MODELS, NO_MAPS, Outputs

BLOCKS = 16
"""Residual blocks of the super-resolution branch, dealt out evenly to its stages."""


@dataclass(frozen=True)
class Ms2Shape:
    """Which of the two fusion modules a network has, and how often the second one fuses."""

    stages: int = 4
    """K: parts of the super-resolution branch; its number of blocks stays the same."""
    msff1: bool = True
    """Fuse three sizes; otherwise Z is the deblurring branch's last feature alone."""
    global_path: bool = True
    """Whether MSFF1 weighs its channels by the means over the whole frame."""
    msff2: bool = True
    """Filter by attention what is added to a stage's features; otherwise add Z as it is."""


class ChannelWeights(nn.Module):
    """A weight in 0..1 for each channel, from the means of all: [B,C_in,H,W] -> [B,C_out,1,1]."""

    def __init__(self, channels_in: int, hidden: int, channels_out: int) -> None:
        """`hidden` is the width of the layer between."""
        super().__init__()
        self.squeeze = nn.Sequential(convolution(channels_in, hidden, 1), activation())
        self.logits = convolution(hidden, channels_out, 1)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the weights."""
        logits: Tensor = self.logits(self.squeeze(x_bchw.mean(dim=(2, 3), keepdim=True)))
        return logits.sigmoid()


class PlaceWeights(nn.Module):
    """A weight in 0..1 for each pixel, from its mean and maximum: [B,C,H,W] -> [B,1,H,W]."""

    def __init__(self) -> None:
        """Build its one convolution."""
        super().__init__()
        self.logits = convolution(2, 1, 7)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the weights."""
        seen = [x_bchw.mean(dim=1, keepdim=True), x_bchw.amax(dim=1, keepdim=True)]
        logits: Tensor = self.logits(torch.cat(seen, dim=1))
        return logits.sigmoid()


class Msff1(nn.Module):
    """Fuse the deblurring branch's features of three sizes into Z [B,64,H,W]."""

    def __init__(self, global_path: bool) -> None:
        """`global_path` weighs the fused channels by means over the whole frame."""
        super().__init__()
        self.from_full = convolution(WIDTH, WIDTH, 1)
        self.from_half = convolution(2 * WIDTH, WIDTH, 1)
        self.from_quarter = convolution(4 * WIDTH, WIDTH, 1)
        self.local = nn.Sequential(convolution(3 * WIDTH, WIDTH), activation(SLOPE))
        self.whole = ChannelWeights(3 * WIDTH, WIDTH // 4, WIDTH) if global_path else None
        self.last = convolution(WIDTH, WIDTH)

    def forward(self, deblurred: Deblurred) -> Tensor:
        """Return Z."""
        half = _enlarged(self.from_half(deblurred.half), 2.0)
        quarter = _enlarged(self.from_quarter(deblurred.quarter), 4.0)
        sizes = torch.cat([self.from_full(deblurred.features), half, quarter], dim=1)
        fused: Tensor = self.local(sizes)
        if self.whole is not None:
            fused = fused * self.whole(sizes)
        z_bchw: Tensor = self.last(fused)
        return z_bchw


class Msff2(nn.Module):
    """What a stage is given by the deblurring branch and by the stage before, filtered.

    Channels are weighed first, then places (as Woo et al., "CBAM", ECCV 2018).
    """

    def __init__(self) -> None:
        """Build the layers at 64 channels."""
        super().__init__()
        self.mix = nn.Sequential(convolution(3 * WIDTH, WIDTH, 1), activation(SLOPE))
        self.fuse = convolution(WIDTH, WIDTH)
        self.channels = ChannelWeights(WIDTH, WIDTH // 16, WIDTH)
        self.places = PlaceWeights()

    def forward(self, stage_bchw: Tensor, z_bchw: Tensor, before_bchw: Tensor) -> Tensor:
        """Return what is added to `stage_bchw`; `before_bchw` is the stage before, fused."""
        read = torch.cat([stage_bchw, z_bchw, before_bchw], dim=1)
        fused: Tensor = self.fuse(self.mix(read))
        fused = fused * self.channels(fused)
        out: Tensor = fused * self.places(fused)
        return out


class Ms2Net(nn.Module):
    """An MS2Net-style network: BGR [B,3,H,W] in 0..1 -> hr [B,3,4H,4W] and lr [B,3,H,W].

    H and W divide by `size_multiple`.
    """

    size_multiple = 4
    halo_px = 0
    output_conv = "enlarge.image"
    msff1: Msff1 | None
    msff2: nn.ModuleList | None

    def __init__(self, shape: Ms2Shape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        self.deblur = Deblurring(WIDTH)
        self.msff1 = Msff1(shape.global_path) if shape.msff1 else None
        self.head = nn.Sequential(convolution(3, WIDTH, 7), activation(SLOPE))
        depth = BLOCKS // shape.stages
        self.stages = nn.ModuleList(
            residual_blocks(depth, WIDTH, SLOPE) for _ in range(shape.stages)
        )
        self.msff2 = nn.ModuleList(Msff2() for _ in self.stages) if shape.msff2 else None
        self.last = convolution(WIDTH, WIDTH)
        self.enlarge = Enlargement(WIDTH)
        initialise(self)
        _damp(self)

    def fused(self, first_bchw: Tensor, z_bchw: Tensor) -> Tensor:
        """Return the features after all stages, [B,64,H,W]."""
        before, features = z_bchw, first_bchw
        for index, blocks in enumerate(self.stages):
            stage = blocks(features)
            added = z_bchw if self.msff2 is None else self.msff2[index](stage, z_bchw, before)
            before = features = stage + added
        return features

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        deblurred = self.deblur(x_bchw)
        z_bchw = deblurred.features if self.msff1 is None else self.msff1(deblurred)
        first = self.head(x_bchw)
        features = first + self.last(self.fused(first, z_bchw))
        return Outputs(self.enlarge(features), deblurred.image)

    def without_lr_head(self) -> "Ms2Net":
        """Return a copy that computes `hr` only: two convolutions less, for deployment."""
        deployed = copy.deepcopy(self)
        deployed.deblur.image = None
        return deployed


def _damp(network: nn.Module) -> None:
    """Start residual blocks and attention at a tenth, as Wang et al., "ESRGAN", ECCVW 2018.

    GFN's own start compounds 34 blocks to values in the thousands, where a sigmoid has no slope
    left and the attention would never learn.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, ResidualBlock):
                module.second.weight.mul_(0.1)
            if isinstance(module, ChannelWeights | PlaceWeights):
                module.logits.weight.mul_(0.1)


def _enlarged(x_bchw: Tensor, scale: float) -> Tensor:
    # A factor, not a size: a size would be worked out anew in every run of an exported graph.
    return functional.interpolate(x_bchw, scale_factor=scale, mode="bilinear", align_corners=False)


@MODELS.register("ms2net")
def ms2net() -> Ms2Net:
    """Return the whole network: 266 GMAC for 320x180."""
    return Ms2Net(Ms2Shape())


@MODELS.register("ms2net-no-msff1")
def ms2net_no_msff1() -> Ms2Net:
    """Return the ablation that hands over one size."""
    return Ms2Net(Ms2Shape(msff1=False))


@MODELS.register("ms2net-local-msff1")
def ms2net_local_msff1() -> Ms2Net:
    """Return the ablation that fuses three sizes without a look at the whole frame."""
    return Ms2Net(Ms2Shape(global_path=False))


@MODELS.register("ms2net-no-msff2")
def ms2net_no_msff2() -> Ms2Net:
    """Return the ablation that adds without attention."""
    return Ms2Net(Ms2Shape(msff2=False))


@MODELS.register("ms2net-k1")
def ms2net_k1() -> Ms2Net:
    """Return the ablation that fuses once."""
    return Ms2Net(Ms2Shape(stages=1))


@MODELS.register("ms2net-k2")
def ms2net_k2() -> Ms2Net:
    """Return the ablation that fuses twice."""
    return Ms2Net(Ms2Shape(stages=2))
