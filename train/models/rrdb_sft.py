"""RRDB-SFT, super-resolution told how blurred each pixel is; and BlindSR, which estimates that.

    sigma  -> convolution -+-> GIA -> sum -> every 4th pixel -> condition
    labels -> convolution -+
    frame -> convolution -> 10 blocks, each under the condition -> + -> enlarge -> HR image

Chen et al., "Better 'CMOS' Produces Clearer Images: Learning Space-Variant Blur Estimation for
Blind Image Super-Resolution", CVPR 2023, and Liang et al., "Mutual Affine Network for
Spatially Variant Kernel Estimation in Blind Image Super-Resolution" (MANet), ICCV 2021; layers
are those of the released codes. Half of the work is the GIA, which runs at HR size.

Shape letters: B batch, C channels, H height, W width of the LR frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.errors import UsageError
from crispstream.core.pixels import SCALE

from . import cmos
from .cmos import Cmos, CmosShape
from .exportable import cast
from .gfn import convolution
from .gia import WINDOW_PX, Gia
from .registry import MODELS, NO_MAPS, Outputs

SLOPE = 0.2
"""Of the leaky ReLUs."""
SHRINK = 0.2
"""What a residual is multiplied by before it is added."""


@dataclass(frozen=True)
class RrdbShape:
    """Widths, depth and windows; as they stand those of the published network."""

    width: int = 64
    """C, of features and condition."""
    growth: int = 32
    """Channels that each convolution of a dense block adds."""
    blocks: int = 10
    groups: int = 8
    """Of the channels, in GIA."""
    window: tuple[int, int] = WINDOW_PX
    """Height and width of GIA's windows, in HR pixels."""


PUBLISHED = RrdbShape()
TINY = RrdbShape(width=16, growth=8, blocks=1, groups=4, window=(3, 4))
"""Every kind of layer once: what two CPU cores can train a few steps of."""


class DenseBlock(nn.Module):
    """x + 0.2 * five convolutions, each of which reads all before it."""

    def __init__(self, channels: int, growth: int) -> None:
        """`growth` channels are added by each convolution but the last."""
        super().__init__()
        inputs = [channels + growth * layer for layer in range(5)]
        outputs = [growth] * 4 + [channels]
        self.layers = nn.ModuleList(map(convolution, inputs, outputs))
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            _start_small(layer)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the same shape."""
        seen = x_bchw
        for layer in list(self.layers)[:-1]:
            seen = torch.cat([seen, functional.leaky_relu(layer(seen), SLOPE)], dim=1)
        out: Tensor = x_bchw + SHRINK * self.layers[-1](seen)
        return out


def _start_small(layer: nn.Conv2d) -> None:
    """Draw Kaiming's fan-in start, a tenth of it, and zero the bias."""
    nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        layer.weight.mul_(0.1)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Modulation(nn.Module):
    """Features * scale + shift, both from features and condition: SFT.

    Wang et al., "Recovering Realistic Texture in Image Super-resolution by Deep Spatial Feature
    Transform", CVPR 2018; here the scale is in 0..1.
    """

    def __init__(self, channels: int) -> None:
        """`channels` of the features, and of the condition."""
        super().__init__()
        self.scale = _modulating(channels)
        self.shift = _modulating(channels)

    def forward(self, x_bchw: Tensor, condition_bchw: Tensor) -> Tensor:
        """Return the same shape."""
        read = torch.cat([x_bchw, condition_bchw], dim=1)
        out: Tensor = x_bchw * self.scale(read).sigmoid() + self.shift(read)
        return out


def _modulating(channels: int) -> nn.Sequential:
    hidden = channels // 2
    return nn.Sequential(
        convolution(2 * channels, hidden),
        nn.LeakyReLU(SLOPE, inplace=True),
        convolution(hidden, channels),
    )


class ConditionedBlock(nn.Module):
    """x + 0.2 * three dense blocks of the modulated x."""

    def __init__(self, shape: RrdbShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        self.modulate = Modulation(shape.width)
        self.dense = nn.Sequential(*(DenseBlock(shape.width, shape.growth) for _ in range(3)))

    def forward(self, x_bchw: Tensor, condition_bchw: Tensor) -> Tensor:
        """Return the same shape."""
        out: Tensor = x_bchw + SHRINK * self.dense(self.modulate(x_bchw, condition_bchw))
        return out


class Condition(nn.Module):
    """Blur and label maps [B,1,4H,4W] -> condition [B,C,H,W]."""

    def __init__(self, shape: RrdbShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        self.sigma = convolution(1, shape.width)
        self.labels = convolution(1, shape.width)
        self.fuse = Gia(shape.width, shape.width, shape.groups, shape.window)

    def forward(self, sigma: Tensor, labels: Tensor) -> Tensor:
        """Return every 4th pixel of the fused maps, which is the nearest one at LR size."""
        first, second = self.fuse(self.sigma(sigma), self.labels(labels))
        fused: Tensor = first + second
        return fused[..., ::SCALE, ::SCALE]


class RrdbSft(nn.Module):
    """BGR [B,3,H,W] in 0..1 and two maps -> hr [B,3,4H,4W].

    `maps["sigma"]` [B,1,4H,4W] is the blur's standard deviation in HR pixels, `maps["labels"]`
    [B,1,4H,4W] the index of each pixel's class as a float, 255 where it has none.
    """

    size_multiple = 1
    halo_px = 0
    output_conv = "image"

    def __init__(self, shape: RrdbShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        self.condition = Condition(shape)
        self.head = convolution(3, shape.width)
        self.blocks = nn.ModuleList(ConditionedBlock(shape) for _ in range(shape.blocks))
        self.last = convolution(shape.width, shape.width)
        self.image = convolution(shape.width, 3 * SCALE * SCALE)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames.

        Raises:
            UsageError: if one of the two maps is missing.
        """
        condition = self.condition(_needed(maps, "sigma"), _needed(maps, "labels"))
        head = self.head(x_bchw)
        features = head
        for block in self.blocks:
            features = block(features, condition)
        subpixels = self.image(self.last(features) + head)
        return Outputs(functional.pixel_shuffle(subpixels, SCALE))


def _needed(maps: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in maps:
        given = ", ".join(sorted(maps)) or "none"
        raise UsageError(
            f"RRDB-SFT needs the map '{name}' beside the frame, got {given}; give the maps "
            "'sigma' and 'labels', or take a 'blindsr' network, which estimates them"
        )
    return maps[name]


class BlindSr(nn.Module):
    """Estimator and restorer joined: BGR [B,3,H,W] in 0..1 -> hr and the estimator's maps.

    The estimator is frozen: no gradient reaches its weights, and its normalisations use their
    running statistics in training too.
    """

    size_multiple = 1
    halo_px = 0
    output_conv = "restorer.image"

    def __init__(self, estimator_shape: CmosShape, restorer_shape: RrdbShape) -> None:
        """Build both networks."""
        super().__init__()
        self.estimator = Cmos(estimator_shape).eval().requires_grad_(False)
        self.restorer = RrdbSft(restorer_shape)

    def train(self, mode: bool = True) -> "BlindSr":
        """Turn the restorer to training or evaluation; the estimator stays in evaluation."""
        super().train(mode)
        self.estimator.eval()
        return self

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        with torch.no_grad():
            estimated = self.estimator(x_bchw).maps
            labels = cast(estimated["semantics"].argmax(dim=1, keepdim=True), x_bchw.dtype)
        restored = self.restorer(x_bchw, {"sigma": estimated["sigma"], "labels": labels})
        return Outputs(restored.hr, maps=estimated)


@MODELS.register("rrdb-sft")
def rrdb_sft() -> RrdbSft:
    """Return the published restorer: 1020 GMAC for 320x180."""
    return RrdbSft(PUBLISHED)


@MODELS.register("rrdb-sft-tiny")
def rrdb_sft_tiny() -> RrdbSft:
    """Return the same code with few channels and one block, for a CPU."""
    return RrdbSft(TINY)


@MODELS.register("blindsr-nyuv2")
def blindsr_nyuv2() -> BlindSr:
    """Return both published networks with NYUv2's 40 classes: 1101 GMAC for 320x180."""
    return BlindSr(CmosShape(classes=40), PUBLISHED)


@MODELS.register("blindsr-cityscapes")
def blindsr_cityscapes() -> BlindSr:
    """Return both published networks with Cityscapes' 19 classes."""
    return BlindSr(CmosShape(classes=19), PUBLISHED)


@MODELS.register("blindsr-tiny")
def blindsr_tiny() -> BlindSr:
    """Return `cmos-tiny` and `rrdb-sft-tiny` joined."""
    return BlindSr(cmos.TINY, TINY)
