"""CMSC, the cascaded multi-scale cross network: refines an image that is already at HR size.

    y -> extract -> f0 -> sub-network 1 -> f1 -> ... -> sub-network S -> fS
    |                                      |                             |
    `--------------------------------> + residual 1      ...         + residual S
                                           |                             |
                                           `------> sum of w_s y_s <-----'

Hu et al., "Single Image Super-Resolution via Cascaded Multi-Scale Cross Network",
arXiv 1802.08808, 2018. From the paper's figure: the cascade, the cross modules, one prediction
for each stage and their weighted sum. Known besides: 35 layers and 1.22 million parameters. The
widths and kernels that make both true are ours. A cross module is a merge-and-run block (Zhao et
al., IJCAI 2018) whose two branches have different kernel sizes.

The published network is trained on the luma of bicubic reductions, and runs at HR size. Two
variants are ours, for blurred colour frames: one on three channels, and a fast one that stays at
LR size until its last shuffle.

Shape letters: B batch, C channels, H height, W width of the LR frame.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from crispstream.core.metrics import LUMA_OF_BGR
from crispstream.core.pixels import SCALE

from .registry import MODELS, NO_MAPS, Outputs
from .upscale import REACH_PX, BicubicX4

SLOPE = 0.2

LUMA_BGR = tuple(weight / 255 for weight in LUMA_OF_BGR)
"""ITU-R BT.601 luma in 16/255..235/255 of B, G, R in 0..1, as MATLAB's `rgb2ycbcr`."""

LUMA_OFFSET = 16 / 255

BRANCH = 0.1
"""Gain that a branch begins with. With 1, fifteen modules add up to features in the tens, and the
first steps of a training throw the image away (Goyal et al. 2017 begin branches at 0)."""


@dataclass(frozen=True)
class CmscShape:
    """Widths and depths of one network."""

    width: int
    """Features everywhere."""
    stages: int
    """S: sub-networks, each with a prediction of its own."""
    kernel_pairs: tuple[tuple[int, int], ...]
    """Kernel sides of the two branches of each of the M cross modules of a sub-network."""

    def depth(self) -> int:
        """Return the convolutions on the way from the input to the last prediction."""
        return 2 + self.stages * (1 + 2 * len(self.kernel_pairs))

    def reach_px(self) -> int:
        """Return how far away a pixel can be that reaches a prediction, at its own size."""
        return 2 + self.stages * (1 + sum(2 * (max(pair) // 2) for pair in self.kernel_pairs))


PRESET_A = CmscShape(32, 3, ((3, 5),) * 5)
"""One kernel pair throughout: 1.08 million parameters."""

PRESET_B = CmscShape(32, 3, ((3, 7), *((3, 5),) * 4))
"""What fits the published depth and number of parameters: 35 layers, 1.22 million."""

PRESET_C = CmscShape(32, 4, ((3, 7), (3, 5), (3, 5), (3, 3)))
"""One more stage at the same number of parameters: 38 layers."""


def _unit(channels_in: int, channels_out: int, side: int, gain: float = 1.0) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, side, padding=side // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, SLOPE, "fan_out")
    norm = nn.BatchNorm2d(channels_out)
    nn.init.constant_(norm.weight, gain)
    return nn.Sequential(conv, norm, nn.LeakyReLU(SLOPE, inplace=True))


def _residual(width: int, channels_out: int) -> nn.Conv2d:
    conv = nn.Conv2d(width, channels_out, 3, padding=1)
    with torch.no_grad():  # features begin near one, residuals are hundredths
        for parameter in conv.parameters():
            parameter.mul_(0.01)
    return conv


class CrossModule(nn.Module):
    """Two branches of different reach, and the mean of their inputs that both will share."""

    def __init__(self, width: int, kernel_pair: tuple[int, int]) -> None:
        """Each branch has two convolutions of its side of `kernel_pair`."""
        super().__init__()
        near, far = kernel_pair
        self.near = nn.Sequential(_unit(width, width, near), _unit(width, width, near, BRANCH))
        self.far = nn.Sequential(_unit(width, width, far), _unit(width, width, far, BRANCH))

    def forward(self, u_bchw: Tensor, v_bchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return A(u), B(v) and m = (u + v) / 2, not yet added up."""
        return self.near(u_bchw), self.far(v_bchw), (u_bchw + v_bchw) * 0.5


class SubNetwork(nn.Module):
    """One stage of the cascade, features -> features of the same shape."""

    def __init__(self, shape: CmscShape) -> None:
        """Build one convolution and the cross modules of `shape`."""
        super().__init__()
        self.entry = _unit(shape.width, shape.width, 3)
        self.cross = nn.ModuleList(CrossModule(shape.width, pair) for pair in shape.kernel_pairs)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return x + A(u) + B(v) + m of the last module; before it u = A(u) + m, v = B(v) + m."""
        u_bchw = v_bchw = self.entry(x_bchw)
        *inner, last = self.cross
        for module in inner:
            near, far, mean = module(u_bchw, v_bchw)
            u_bchw, v_bchw = near + mean, far + mean
        near, far, mean = last(u_bchw, v_bchw)
        out: Tensor = x_bchw + (near + far + mean)
        return out


class Cascade(nn.Module):
    """What the variants share: extraction, sub-networks, residuals, weighted assembly."""

    size_multiple = 1
    output_conv: str

    def __init__(self, shape: CmscShape, channels_in: int, channels_out: int) -> None:
        """A prediction has `channels_out` channels; a new cascade all but returns its base."""
        super().__init__()
        self.output_conv = f"residuals.{shape.stages - 1}"
        self.halo_px = REACH_PX + -(-shape.reach_px() // SCALE)
        self.bicubic = BicubicX4()
        self.extract = _unit(channels_in, shape.width, 3)
        self.subnetworks = nn.ModuleList(SubNetwork(shape) for _ in range(shape.stages))
        self.residuals = nn.ModuleList(
            _residual(shape.width, channels_out) for _ in range(shape.stages)
        )
        self.weights = nn.Parameter(torch.full((shape.stages,), 1 / shape.stages))

    def predict(self, x_bchw: Tensor, base_bchw: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the assembled prediction and those of the stages, shaped as `base_bchw`."""
        features = self.extract(x_bchw)
        stages = []
        for subnetwork, residual in zip(self.subnetworks, self.residuals, strict=True):
            features = subnetwork(features)
            stages.append(base_bchw + residual(features))
        parts = [self.weights[index] * stage for index, stage in enumerate(stages)]
        return reduce(torch.add, parts), stages

    def refine(self, interpolated_bchw: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the final and the stages' predictions of an image already at HR size.

        Its scale does not matter: the published network is trained on x2, x3 and x4 together.
        """
        return self.predict(interpolated_bchw, interpolated_bchw)


class Cmsc(Cascade):
    """The published network on luma: BGR [B,3,H,W] in 0..1 -> hr [B,3,4H,4W].

    `refine` takes luma [B,1,H',W'], 16/255 to 235/255. `forward` enlarges the frame bicubically
    and refines its luma; the colour differences stay bicubic. Its maps are luma [B,1,4H,4W]: "y"
    is the final one, "stage_1" and so on are those of the stages.
    """

    def __init__(self, shape: CmscShape) -> None:
        """Build the layers of `shape`."""
        super().__init__(shape, 1, 1)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        interpolated = self.bicubic(x_bchw)
        y = luma(interpolated)
        final, stages = self.refine(y)
        # The way back from Y, Cb, Cr adds Y to B, G and R alike, 255/219 of it.
        restored = interpolated + (final - y) * (1 / sum(LUMA_BGR))
        return Outputs(restored, maps={"y": final, **_named(stages)})


class CmscRgb(Cascade):
    """The same on three channels, for blurred frames: BGR [B,3,H,W] in 0..1 -> hr [B,3,4H,4W].

    The maps "stage_1" and so on are BGR of hr's shape.
    """

    def __init__(self, shape: CmscShape) -> None:
        """Build the layers of `shape`."""
        super().__init__(shape, 3, 3)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        final, stages = self.refine(self.bicubic(x_bchw))
        return Outputs(final, maps=_named(stages))


class CmscFast(Cascade):
    """The cascade at LR size with a shuffle at its end: a sixteenth of the work; not published.

    BGR [B,3,H,W] in 0..1 -> hr [B,3,4H,4W]; the maps "stage_1" and so on are of hr's shape.
    """

    def __init__(self, shape: CmscShape) -> None:
        """Build the layers of `shape`; predictions are sub-pixels at LR size."""
        super().__init__(shape, 3, 3 * SCALE * SCALE)
        self.halo_px = shape.reach_px()

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        final, stages = self.predict(x_bchw, self.bicubic.subpixels(x_bchw))
        images = [functional.pixel_shuffle(stage, SCALE) for stage in stages]
        return Outputs(functional.pixel_shuffle(final, SCALE), maps=_named(images))


def luma(x_bchw: Tensor) -> Tensor:
    """Return the BT.601 luma [B,1,H,W] of BGR [B,3,H,W] in 0..1, 16/255 to 235/255."""
    blue, green, red = x_bchw[:, 0:1], x_bchw[:, 1:2], x_bchw[:, 2:3]
    return LUMA_BGR[0] * blue + LUMA_BGR[1] * green + LUMA_BGR[2] * red + LUMA_OFFSET


def _named(stages: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"stage_{index}": stage for index, stage in enumerate(stages, start=1)}


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy for deployment whose convolutions do their batch norms' work.

    Folds each norm that follows a convolution inside a `Sequential`, with the running averages,
    so the copy computes what `network.eval()` does and is not for training.
    """
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        if isinstance(module, nn.Sequential):
            _fold_row(module)
    return folded


def _fold_row(row: nn.Sequential) -> None:
    for index in range(len(row) - 1):
        conv, norm = row[index], row[index + 1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            row[index] = fuse_conv_bn_eval(conv, norm)
            row[index + 1] = nn.Identity()


@MODELS.register("cmsc")
def cmsc() -> Cmsc:
    """Return the luma network that fits the published facts: 1125 GMAC for 320x180."""
    return Cmsc(PRESET_B)


@MODELS.register("cmsc-a")
def cmsc_a() -> Cmsc:
    """Return the luma network with one kernel pair: 989 GMAC for 320x180."""
    return Cmsc(PRESET_A)


@MODELS.register("cmsc-c")
def cmsc_c() -> Cmsc:
    """Return the luma network with four stages: 1123 GMAC for 320x180."""
    return Cmsc(PRESET_C)


@MODELS.register("cmsc-rgb")
def cmsc_rgb() -> CmscRgb:
    """Return the network on three channels: 1127 GMAC for 320x180."""
    return CmscRgb(PRESET_B)


@MODELS.register("cmsc-fast")
def cmsc_fast() -> CmscFast:
    """Return the network at LR size: 73 GMAC for 320x180."""
    return CmscFast(PRESET_B)
