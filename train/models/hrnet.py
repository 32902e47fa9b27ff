"""HRNet-W18-small-v2 whose stem keeps the size: four scales, the finest at full resolution.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", TPAMI 2021.
Both strides of the stem are 1, as in the released code of CMOS, so the scales are 1, 1/2, 1/4 and
1/8 of the frame. (The CMOS paper says 1, 1/4, 1/8, 1/16.)

Shape letters: B batch, C channels, H height, W width. A list of maps begins with the finest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from .exportable import plain_size

MOMENTUM = 0.01
"""Of the batch normalisations of the backbone."""


@dataclass(frozen=True)
class HrnetShape:
    """Channels and depths; as they stand those of W18-small-v2."""

    channels: tuple[int, ...] = (18, 36, 72, 144)
    """At each scale."""
    stem: int = 64
    """Channels of the stem; the first layer has four times as many."""
    modules: tuple[int, ...] = (1, 3, 2)
    """Modules of the stages with two, three and four scales."""


def _conv_norm(
    channels_in: int,
    channels_out: int,
    side: int = 3,
    stride: int = 1,
    momentum: float = MOMENTUM,
) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, side, stride, side // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out, momentum=momentum))


def _conv_norm_relu(
    channels_in: int, channels_out: int, side: int = 3, stride: int = 1
) -> nn.Sequential:
    layers = _conv_norm(channels_in, channels_out, side, stride)
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def resized(x_bchw: Tensor, height: int, width: int) -> Tensor:
    """Return `x_bchw` bilinearly resized, half-pixel centres."""
    if plain_size(x_bchw) == (height, width):
        return x_bchw
    return functional.interpolate(x_bchw, (height, width), mode="bilinear", align_corners=False)


class ShortCut(nn.Module):
    """ReLU(layers(x) + side(x)), both ending in a normalisation: ResNet's block."""

    def __init__(self, layers: nn.Module, side: nn.Module | None = None) -> None:
        """Without `side` the input itself is added."""
        super().__init__()
        self.layers = layers
        self.side = nn.Identity() if side is None else side

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return the sum."""
        out: Tensor = functional.relu(self.layers(x_bchw) + self.side(x_bchw))
        return out


def basic_block(channels: int, momentum: float = MOMENTUM) -> ShortCut:
    """Return two 3x3 convolutions around an identity."""
    first = _conv_norm(channels, channels, momentum=momentum)
    second = _conv_norm(channels, channels, momentum=momentum)
    return ShortCut(nn.Sequential(*first, nn.ReLU(inplace=True), *second))


def bottleneck(channels_in: int, width: int) -> ShortCut:
    """Return 1x1, 3x3 and 1x1 convolutions to four times the `width`."""
    layers = nn.Sequential(
        *_conv_norm_relu(channels_in, width, 1),
        *_conv_norm_relu(width, width),
        *_conv_norm(width, 4 * width, 1),
    )
    side = None if channels_in == 4 * width else _conv_norm(channels_in, 4 * width, 1)
    return ShortCut(layers, side)


def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Return the layers from one scale to another; enlarging is left to the sum."""
    if source == target:
        return nn.Identity()
    if source > target:
        return _conv_norm(channels[source], channels[target], 1)
    same = channels[source]
    halvings = [_conv_norm_relu(same, same, stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, _conv_norm(same, channels[target], stride=2))


class Exchange(nn.Module):
    """A module of HRNet: two basic blocks at each scale, then every scale hears all others."""

    def __init__(self, channels: Sequence[int]) -> None:
        """`channels` of each scale."""
        super().__init__()
        scales = range(len(channels))
        self.branches = nn.ModuleList(
            nn.Sequential(basic_block(count), basic_block(count)) for count in channels
        )
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(channels, source, target) for source in scales) for target in scales
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the same shapes."""
        seen = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        sizes = [plain_size(x) for x in seen]
        fused = []
        for paths, size in zip(self.paths, sizes, strict=True):
            assert isinstance(paths, nn.ModuleList)
            heard = [resized(path(x), *size) for path, x in zip(paths, seen, strict=True)]
            fused.append(functional.relu(sum(heard[1:], start=heard[0])))
        return fused


class Hrnet(nn.Module):
    """The backbone: [B,3,H,W] -> four maps at H, H/2, H/4 and H/8, odd sizes rounded up."""

    def __init__(self, shape: HrnetShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        channels, wide = shape.channels, 4 * shape.stem
        self.stem = nn.Sequential(
            *_conv_norm_relu(3, shape.stem), *_conv_norm_relu(shape.stem, shape.stem)
        )
        self.first_layer = nn.Sequential(
            bottleneck(shape.stem, shape.stem), bottleneck(wide, shape.stem)
        )
        self.enter = _conv_norm_relu(wide, channels[0])
        sources = (wide, *channels[1:-1])
        self.halve = nn.ModuleList(
            _conv_norm_relu(source, target, stride=2)
            for source, target in zip(sources, channels[1:], strict=True)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(Exchange(channels[: scales + 2]) for _ in range(depth))
            for scales, depth in enumerate(shape.modules)
        )

    def forward(self, x_bchw: Tensor) -> list[Tensor]:
        """Return the maps, finest first."""
        seen = self.first_layer(self.stem(x_bchw))
        maps, coarsest = [self.enter(seen)], seen
        for halve, stage in zip(self.halve, self.stages, strict=True):
            assert isinstance(stage, nn.ModuleList)
            maps = [*maps, halve(coarsest)]
            for exchange in stage:
                maps = exchange(maps)
            coarsest = maps[-1]
        return maps
