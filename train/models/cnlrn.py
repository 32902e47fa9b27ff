"""CNLRN, the cascaded non-local residual network, and the network its first half is trained in.

    PreDeblur  x -> deblur -> features -> convolution -> LR image
    CNLRN      x -> deblur -> features -> restore ----> HR image

Bai et al., "Learning a Cascaded Non-Local Residual Network for Super-Resolving Blurry Images",
CVPRW 2021; layers are those of the released code. The two halves touch in the 64 features only:
no image skip, no normalisation. 61 % of the work is attention, see `nonlocal_block.py`.

Shape letters: B batch, C channels, H height, W width of the LR frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from .gfn import activation, convolution
from .nonlocal_block import NonLocalBlock
from .registry import MODELS, NO_MAPS, Outputs


@dataclass(frozen=True)
class CnlrnShape:
    """Width and depths; as they stand those of the published network."""

    width: int = 64
    """C. A multiple of 16; the deblurring half has 2C and 4C at half and quarter size."""
    blocks: int = 3
    """Residual blocks at each size of the deblurring half, on the way down and up."""
    body: int = 20
    """Residual blocks at its quarter size."""
    groups: int = 6
    """Groups of the restoring half before the first enlargement."""
    up_groups: int = 2
    """Groups before each of the two doublings."""
    subgroup_blocks: int = 4
    """Residual blocks after each non-local block."""
    heads: int = 4
    """Of each attention."""


PUBLISHED = CnlrnShape()
TINY = CnlrnShape(width=16, blocks=1, body=2, groups=1, up_groups=1, subgroup_blocks=1)
"""Every kind of layer once or twice: what two CPU cores can train a few steps of."""


class ResidualBlock5(nn.Module):
    """x + 5x5 convolution(ReLU(5x5 convolution(x)))."""

    def __init__(self, channels: int) -> None:
        """Build its two convolutions."""
        super().__init__()
        self.first = convolution(channels, channels, 5)
        self.act = activation()
        self.second = convolution(channels, channels, 5)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the same shape."""
        out: Tensor = x_bchw + self.second(self.act(self.first(x_bchw)))
        return out


def _level(channels_in: int, channels: int, depth: int, stride: int = 1) -> nn.Sequential:
    """Return an entry convolution with its ReLU, then `depth` residual blocks."""
    entry = [convolution(channels_in, channels, 5, stride), activation()]
    return nn.Sequential(*entry, *(ResidualBlock5(channels) for _ in range(depth)))


def _doubling(channels: int) -> list[nn.Module]:
    """Return the layers that double the size and halve the channels."""
    enlarge = nn.ConvTranspose2d(channels, channels // 2, 3, 2, 1, output_padding=1)
    return [enlarge, activation()]


class DeblurNet(nn.Module):
    """Frame [B,3,H,W] -> features [B,C,H,W]: down to a quarter of the size and up again.

    The way up adds the features of the way down. H and W divide by 4.
    """

    def __init__(self, shape: CnlrnShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        width, depth = shape.width, shape.blocks
        self.at_full = _level(3, width, depth)
        self.at_half = _level(width, 2 * width, depth, stride=2)
        self.at_quarter = _level(2 * width, 4 * width, shape.body, stride=2)
        self.up_half = nn.Sequential(*_doubling(4 * width))
        blocks_half = (ResidualBlock5(2 * width) for _ in range(depth))
        self.up = nn.Sequential(*blocks_half, *_doubling(2 * width))
        self.last = nn.Sequential(*(ResidualBlock5(width) for _ in range(depth)))

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the features."""
        full = self.at_full(x_bchw)
        half = self.at_half(full)
        enlarged = self.up_half(self.at_quarter(half))
        out: Tensor = self.last(self.up(enlarged + half) + full)
        return out


class ChannelAttentionBlock(nn.Module):
    """x + s * convolution(ReLU(convolution(x))), s in 0..1 from the means of all channels.

    The block of RCAN (Zhang et al., ECCV 2018) with a reduction of 16.
    """

    def __init__(self, channels: int) -> None:
        """`channels` divides by 16."""
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels), activation(), convolution(channels, channels)
        )
        self.squeeze = nn.Sequential(convolution(channels, channels // 16, 1), activation())
        self.weigh = convolution(channels // 16, channels, 1)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the same shape."""
        features = self.body(x_bchw)
        weights = self.weigh(self.squeeze(features.mean(dim=(2, 3), keepdim=True))).sigmoid()
        out: Tensor = x_bchw + features * weights
        return out


class Residual(nn.Module):
    """x + convolution(layers(x)), the frame of sub-groups, groups and bodies."""

    def __init__(self, channels: int, layers: list[nn.Module]) -> None:
        """`layers` keep the number of `channels` and the size."""
        super().__init__()
        self.layers = nn.Sequential(*layers, convolution(channels, channels))

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the same shape."""
        out: Tensor = x_bchw + self.layers(x_bchw)
        return out


def subgroup(shape: CnlrnShape) -> Residual:
    """Return a non-local block followed by channel attention blocks."""
    blocks = (ChannelAttentionBlock(shape.width) for _ in range(shape.subgroup_blocks))
    return Residual(shape.width, [NonLocalBlock(shape.width, shape.heads), *blocks])


def group(shape: CnlrnShape) -> Residual:
    """Return two sub-groups: the NLRG of the paper."""
    return Residual(shape.width, [subgroup(shape), subgroup(shape)])


def _body(shape: CnlrnShape, depth: int) -> Residual:
    return Residual(shape.width, [group(shape) for _ in range(depth)])


def _body_and_doubling(shape: CnlrnShape) -> nn.Sequential:
    enlarge = convolution(shape.width, 4 * shape.width)
    return nn.Sequential(_body(shape, shape.up_groups), enlarge, nn.PixelShuffle(2))


class Nlrn(nn.Module):
    """Features [B,C,H,W] -> image [B,3,4H,4W], the second doubling's groups at 2H x 2W."""

    def __init__(self, shape: CnlrnShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        self.body = _body(shape, shape.groups)
        self.up = _body_and_doubling(shape)
        self.up_again = _body_and_doubling(shape)
        self.last = convolution(shape.width, shape.width)
        self.image = convolution(shape.width, 3)

    def forward(self, features_bchw: Tensor) -> Tensor:
        """Return the image, not clamped."""
        enlarged = self.up_again(self.up(self.body(features_bchw)))
        image: Tensor = self.image(self.last(enlarged))
        return image


class PreDeblur(nn.Module):
    """The first stage's network: BGR [B,3,H,W] in 0..1 -> lr [B,3,H,W], the sharp frame.

    Its `deblur` is by names and shapes that of `Cnlrn`, which goes on from it.
    """

    size_multiple = 4
    halo_px = 0
    output_conv = ""

    def __init__(self, shape: CnlrnShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        self.deblur = DeblurNet(shape)
        self.image = convolution(shape.width, 3, 5)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Deblur a batch of frames; `maps` are not used."""
        return Outputs(lr=self.image(self.deblur(x_bchw)))


class Cnlrn(nn.Module):
    """The joint network: BGR [B,3,H,W] in 0..1 -> hr [B,3,4H,4W]. H and W divide by 4."""

    size_multiple = 4
    halo_px = 0
    output_conv = "restore.image"

    def __init__(self, shape: CnlrnShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        self.deblur = DeblurNet(shape)
        self.restore = Nlrn(shape)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        return Outputs(self.restore(self.deblur(x_bchw)))


@MODELS.register("predeblur")
def predeblur() -> PreDeblur:
    """Return the published first stage."""
    return PreDeblur(PUBLISHED)


@MODELS.register("predeblur-tiny")
def predeblur_tiny() -> PreDeblur:
    """Return the first stage of `cnlrn-tiny`."""
    return PreDeblur(TINY)


@MODELS.register("cnlrn")
def cnlrn() -> Cnlrn:
    """Return the published network: 3472 GMAC for 320x180."""
    return Cnlrn(PUBLISHED)


@MODELS.register("cnlrn-tiny")
def cnlrn_tiny() -> Cnlrn:
    """Return the same code at a quarter of the width and the least depth."""
    return Cnlrn(TINY)
