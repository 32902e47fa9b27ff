"""CMOS, the cross-modal fusion network: how blurred each pixel is, and what it shows.

    frame -> HRNet -> 4 scales
    coarse to fine:  heads -> GIA between the tasks -> GIA with the next finer scale -> heads ...
    per scale GIA between the tasks -> all scales at full size -> 2 convolutions -> x4

Chen et al., "Better 'CMOS' Produces Clearer Images: Learning Space-Variant Blur Estimation for
Blind Image Super-Resolution", CVPR 2023; layers are those of the released code. It estimates,
for the defocused frame, the Gaussian blur that made each HR pixel and its semantic class.

Shape letters: B batch, C channels, H height, W width of the LR frame, K classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.pixels import SCALE

from .exportable import plain_size
from .gia import WINDOW_PX, Gia
from .hrnet import Hrnet, HrnetShape, basic_block, resized
from .registry import MODELS, NO_MAPS, Outputs

IMAGENET_MEAN_BGR = (0.406, 0.456, 0.485)
IMAGENET_STD_BGR = (0.225, 0.224, 0.229)

HEAD_MOMENTUM = 0.1
"""Of the batch normalisations outside of the backbone: torch's own."""


@dataclass(frozen=True)
class CmosShape:
    """Widths, depths and windows; as they stand those of the published network."""

    classes: int
    """K: 40 for NYUv2, 19 for Cityscapes."""
    backbone: HrnetShape = field(default_factory=HrnetShape)
    groups: tuple[int, ...] = (3, 6, 8, 12)
    """Of the channels at each scale, in GIA."""
    window: tuple[int, int] = WINDOW_PX
    """Height and width of GIA's windows, at every scale."""


TINY = CmosShape(
    classes=19,
    backbone=HrnetShape(channels=(4, 8, 12, 16), stem=8, modules=(1, 1, 1)),
    groups=(2, 2, 3, 4),
    window=(3, 4),
)
"""Every kind of layer, few channels, Cityscapes' classes. Frames of 9 rows and 17 columns do."""


def _task_head(channels: int) -> nn.Sequential:
    return nn.Sequential(*(basic_block(channels, HEAD_MOMENTUM) for _ in range(2)))


class Prediction(nn.Module):
    """One task's maps of all scales -> its answer at the finest, [B,K,H,W]."""

    def __init__(self, channels: Sequence[int], channels_out: int) -> None:
        """`channels` of each scale; `channels_out` is K, or 1 for the blur."""
        super().__init__()
        count = sum(channels)
        self.mix = nn.Sequential(
            nn.Conv2d(count, count, 1), nn.BatchNorm2d(count), nn.ReLU(inplace=True)
        )
        self.answer = nn.Conv2d(count, channels_out, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Read the maps, finest first."""
        size = plain_size(maps[0])
        answer: Tensor = self.answer(self.mix(torch.cat([resized(x, *size) for x in maps], dim=1)))
        return answer


class Task(nn.Module):
    """The layers that one of the two tasks has for itself."""

    def __init__(self, shape: CmosShape, channels_out: int) -> None:
        """`channels_out` of its answer."""
        super().__init__()
        channels = shape.backbone.channels
        self.heads = nn.ModuleList(_task_head(count) for count in channels)
        self.refine = nn.ModuleList(
            Gia(coarse, fine, groups, shape.window)
            for coarse, fine, groups in zip(channels[1:], channels, shape.groups, strict=False)
        )
        self.aux = nn.Conv2d(channels[0], channels_out, 1)
        self.predict = Prediction(channels, channels_out)


class Cmos(nn.Module):
    """BGR [B,3,H,W] in 0..1 -> four maps at HR size.

    `sigma` [B,1,4H,4W] is the standard deviation of the Gaussian blur in HR pixels, not clamped;
    `semantics` [B,K,4H,4W] the logits of the classes. `aux_sigma` and `aux_semantics` are the
    same from the finest scale alone, for the training. At an eighth of its size a frame must be
    large enough for GIA's windows to be filled by mirroring: 57 rows and 81 columns or more.
    A batch to train on holds at least two frames, or means over a frame cannot be normalised.
    """

    size_multiple = 1
    halo_px = 0
    output_conv = ""
    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: CmosShape) -> None:
        """Build the layers of `shape`."""
        super().__init__()
        channels = shape.backbone.channels
        self.backbone = Hrnet(shape.backbone)
        self.sigma = Task(shape, 1)
        self.semantics = Task(shape, shape.classes)
        self.between = nn.ModuleList(_gias(shape, channels[1:], shape.groups[1:]))
        self.before_answer = nn.ModuleList(_gias(shape, channels, shape.groups))
        mean, deviation = torch.tensor(IMAGENET_MEAN_BGR), torch.tensor(IMAGENET_STD_BGR)
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("deviation", deviation[:, None, None], persistent=False)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Estimate the maps of a batch of frames; `maps` are not used."""
        sigmas, semantics = self.by_scale(self.backbone((x_bchw - self.mean) / self.deviation))
        scales = zip(self.before_answer, sigmas, semantics, strict=True)
        fused = [gia(sigma, semantic) for gia, sigma, semantic in scales]
        answers = {
            "sigma": self.sigma.predict([sigma for sigma, _ in fused]),
            "semantics": self.semantics.predict([semantic for _, semantic in fused]),
            "aux_sigma": self.sigma.aux(sigmas[0]),
            "aux_semantics": self.semantics.aux(semantics[0]),
        }
        return Outputs(maps={name: _at_hr(answer) for name, answer in answers.items()})

    def by_scale(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return what the heads of both tasks say at each scale, finest first.

        The coarsest heads read the backbone. Each finer one reads the backbone merged with what
        both tasks together said at the scale before.
        """
        sigmas, semantics = [], []
        read_sigma = read_semantic = features[-1]
        for scale in reversed(range(len(features))):
            sigmas.append(self.sigma.heads[scale](read_sigma))
            semantics.append(self.semantics.heads[scale](read_semantic))
            if scale:
                told_sigma, told_semantic = self.between[scale - 1](sigmas[-1], semantics[-1])
                finer = features[scale - 1]
                read_sigma = _summed(self.sigma.refine[scale - 1](told_sigma, finer))
                read_semantic = _summed(self.semantics.refine[scale - 1](told_semantic, finer))
        return sigmas[::-1], semantics[::-1]


def _gias(shape: CmosShape, channels: Sequence[int], groups: Sequence[int]) -> Iterator[Gia]:
    """Return the modules between the two tasks at some scales."""
    for count, grouped in zip(channels, groups, strict=True):
        yield Gia(count, count, grouped, shape.window)


def _summed(pair: tuple[Tensor, Tensor]) -> Tensor:
    return pair[0] + pair[1]


def _at_hr(x_bchw: Tensor) -> Tensor:
    return functional.interpolate(
        x_bchw, scale_factor=float(SCALE), mode="bilinear", align_corners=False
    )


@MODELS.register("cmos-nyuv2")
def cmos_nyuv2() -> Cmos:
    """Return the published estimator with NYUv2's 40 classes: 80 GMAC for 320x180."""
    return Cmos(CmosShape(classes=40))


@MODELS.register("cmos-cityscapes")
def cmos_cityscapes() -> Cmos:
    """Return the published estimator with Cityscapes' 19 classes."""
    return Cmos(CmosShape(classes=19))


@MODELS.register("cmos-tiny")
def cmos_tiny() -> Cmos:
    """Return the same code with few channels and small windows, for a CPU."""
    return Cmos(TINY)
