"""Grouping interactive attention (GIA): two feature maps, each weighed by what the other shows.

    x1 -> align to x2 -+-> channel stream -+-> merge -> y1
    x2 ----------------+-> spatial stream -+-> merge -> y2

Chen et al., "Better 'CMOS' Produces Clearer Images: Learning Space-Variant Blur Estimation for
Blind Image Super-Resolution", CVPR 2023. Layers are those of the released code, which differs
from the paper: weights pass through a sigmoid, the shares c and s of the other input start at 0,
and the MLPs end in a ReLU.

Shape letters: B batch, C channels of x2 and the outputs, L channels of x1, H height, W width,
N windows in the batch, P pixels of a window.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from .exportable import KeepsFp32, cast, constant, plain_size
from .windows import WindowGrid

WINDOW_PX = (15, 20)
"""Height and width of the spatial stream's windows in the published networks."""


def conv_norm(channels_in: int, channels_out: int, side: int = 3) -> nn.Sequential:
    """Return a convolution without bias and its batch normalisation: CB."""
    return nn.Sequential(_plain(channels_in, channels_out, side), nn.BatchNorm2d(channels_out))


def conv_norm_leaky(channels: int) -> nn.Sequential:
    """Return a 3x3 convolution, batch normalisation and a leaky ReLU: CBA."""
    return nn.Sequential(*conv_norm(channels, channels), nn.LeakyReLU(0.01, inplace=True))


def _plain(channels_in: int, channels_out: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2, bias=False)


@lru_cache(maxsize=16)
def base_grid(height: int, width: int) -> npt.NDArray[np.float64]:
    """Return where `grid_sample` finds each pixel of a map, [1,H,W,2] as (x, y) in -1..1.

    The corners' centres are at -1 and 1 (`align_corners`).
    """
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    return np.stack([x, y], axis=-1)[None]


class Warp(KeepsFp32):
    """Sample x1 [B,L,h,w] at the pixels of x2 [B,C,H,W], moved by a learnt flow: [B,L,H,W].

    One unit of flow is about half a pixel of x2: the flow is divided by (W, H), and -1..1 is the
    whole map. Outside of x1 is 0. At 1280 columns a pixel is 0.0016 of the range, and fp16 is no
    finer than 0.0005 near 1, so all this stays in fp32 in a copy in half precision.
    """

    def __init__(self, channels_low: int, channels: int) -> None:
        """`channels_low` is L, `channels` C."""
        super().__init__()
        self.from_low = _plain(channels_low, channels, 1)
        self.from_reference = _plain(channels, channels, 1)
        self.flow = _plain(2 * channels, 2, 3)

    def forward(self, low_blhw: Tensor, reference_bchw: Tensor) -> Tensor:
        """Return the samples in the type of `low_blhw`."""
        low, reference = self.widened(low_blhw), self.widened(reference_bchw)
        places = self.places(low, reference)
        sampled = functional.grid_sample(low, places, padding_mode="zeros", align_corners=True)
        return cast(sampled, low_blhw.dtype)

    def places(self, low_blhw: Tensor, reference_bchw: Tensor) -> Tensor:
        """Return where to sample x1 for each pixel of x2, [B,H,W,2] as (x, y) in -1..1."""
        height, width = plain_size(reference_bchw)
        seen_low = self.from_low(low_blhw)
        if plain_size(low_blhw) != (height, width):
            seen_low = functional.interpolate(
                seen_low, size=(height, width), mode="bilinear", align_corners=True
            )
        flow = self.flow(torch.cat([seen_low, self.from_reference(reference_bchw)], dim=1))
        step = constant(np.array([1 / width, 1 / height]), like=flow)
        moved: Tensor = flow.permute(0, 2, 3, 1) * step
        return moved + constant(base_grid(height, width), like=flow)


class Align(nn.Module):
    """Bring x1 to the size and the channels of x2."""

    def __init__(self, channels_low: int, channels: int) -> None:
        """`channels_low` is L, `channels` C."""
        super().__init__()
        self.warp = Warp(channels_low, channels)
        self.last = _plain(channels_low, channels, 3)

    def forward(self, low_blhw: Tensor, reference_bchw: Tensor) -> Tensor:
        """Return x1 aligned, [B,C,H,W]."""
        out: Tensor = self.last(self.warp(low_blhw, reference_bchw))
        return out


class ChannelSide(nn.Module):
    """What one input owns of the channel stream."""

    def __init__(self, channels: int, groups: int) -> None:
        """`groups` is r: the affinity is r x r."""
        super().__init__()
        self.channels = channels
        self.features = conv_norm_leaky(channels)
        self.summarise = conv_norm(channels, channels, 1)
        self.from_affinity = nn.Sequential(
            nn.Linear(groups * groups, channels),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels),
            nn.ReLU(inplace=True),
        )
        self.share = nn.Parameter(torch.zeros(()))
        self.last = conv_norm(channels, channels)

    def read(self, x_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features [B,C,H,W] and their summary [B,C,1,1]."""
        features = self.features(x_bchw)
        return features, self.summarise(features.mean(dim=(2, 3), keepdim=True))

    def weigh(self, features: Tensor, summary: Tensor, affinity: Tensor) -> Tensor:
        """Return the features weighed by channel; `affinity` is [B,r*r]."""
        told = self.from_affinity(affinity).reshape(-1, self.channels, 1, 1)
        out: Tensor = self.last(features * (summary + self.share * told).sigmoid())
        return out


class ChannelStream(nn.Module):
    """Weigh the channels of both inputs by their means and by how groups of them agree."""

    def __init__(self, channels: int, groups: int) -> None:
        """`channels` divides by `groups`."""
        super().__init__()
        self.shape = (groups, channels // groups)
        self.first = ChannelSide(channels, groups)
        self.second = ChannelSide(channels, groups)

    def forward(self, first_bchw: Tensor, second_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return both maps, [B,C,H,W] each."""
        features_1, summary_1 = self.first.read(first_bchw)
        features_2, summary_2 = self.second.read(second_bchw)
        grouped_1, grouped_2 = (s.reshape(-1, *self.shape) for s in (summary_1, summary_2))
        affinity = torch.matmul(grouped_2, grouped_1.transpose(1, 2))
        affinity = affinity.reshape(-1, self.shape[0] ** 2)
        return (
            self.first.weigh(features_1, summary_1, affinity),
            self.second.weigh(features_2, summary_2, affinity),
        )


class SpatialSide(nn.Module):
    """What one input owns of the spatial stream."""

    def __init__(self, channels: int, window: tuple[int, int]) -> None:
        """`window` is the height and width of one in pixels."""
        super().__init__()
        self.channels = channels
        self.features = conv_norm_leaky(channels)
        self.compared = conv_norm_leaky(channels)
        self.own = nn.Conv2d(channels, 1, 1)
        self.from_affinity = nn.Linear(window[0] * window[1], 1)
        self.share = nn.Parameter(torch.zeros(()))
        self.last = conv_norm(channels, channels)

    def pixels(self, windows: Tensor) -> Tensor:
        """Return what is compared of each pixel, [N,C,h,w] -> [N,C,P]."""
        compared: Tensor = self.compared(windows)
        return compared.reshape(-1, self.channels, self.from_affinity.in_features)

    def weigh(self, windows: Tensor, shown: Tensor, grid: WindowGrid) -> Tensor:
        """Return the map [B,C,H,W] weighed by place; `shown` is [N,P], what the other says."""
        sides = (grid.window_height, grid.window_width)
        logits = self.own(windows) + self.share * shown.reshape(-1, 1, *sides)
        out: Tensor = self.last(grid.put_back(windows * logits.sigmoid(), self.channels))
        return out


class SpatialStream(nn.Module):
    """Weigh the pixels of both inputs by how they agree with all of the other's in a window.

    The agreement of two pixels is the plain product over channels: no softmax and no scaling.
    """

    def __init__(self, channels: int, window: tuple[int, int]) -> None:
        """`window` is the height and width of one in pixels."""
        super().__init__()
        self.channels = channels
        self.window = window
        self.first = SpatialSide(channels, window)
        self.second = SpatialSide(channels, window)

    def forward(self, first_bchw: Tensor, second_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return both maps, [B,C,H,W] each."""
        grid = WindowGrid(*plain_size(first_bchw), *self.window)
        windows_1 = grid.cut(self.first.features(first_bchw), self.channels)
        windows_2 = grid.cut(self.second.features(second_bchw), self.channels)
        pixels_1, pixels_2 = self.first.pixels(windows_1), self.second.pixels(windows_2)
        affinity_npp = torch.matmul(pixels_1.transpose(1, 2), pixels_2)
        read_1, read_2 = self.first.from_affinity, self.second.from_affinity
        shown_1 = read_1(affinity_npp)
        shown_2 = torch.matmul(read_2.weight, affinity_npp) + read_2.bias
        return (
            self.first.weigh(windows_1, shown_1, grid),
            self.second.weigh(windows_2, shown_2, grid),
        )


class Gia(nn.Module):
    """x1 [B,L,h,w] and x2 [B,C,H,W] -> (y1, y2), both [B,C,H,W]; x1 may be smaller than x2."""

    def __init__(
        self,
        channels_low: int,
        channels: int,
        groups: int,
        window: tuple[int, int] = WINDOW_PX,
    ) -> None:
        """`channels_low` is L, `channels` C, which divides by the `groups` of channels."""
        super().__init__()
        self.align = Align(channels_low, channels)
        self.by_channel = ChannelStream(channels, groups)
        self.by_place = SpatialStream(channels, window)
        self.merge_first = conv_norm(2 * channels, channels)
        self.merge_second = conv_norm(2 * channels, channels)

    def forward(self, low_blhw: Tensor, reference_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each input is with the other taken into account."""
        first = self.align(low_blhw, reference_bchw)
        channel_1, channel_2 = self.by_channel(first, reference_bchw)
        place_1, place_2 = self.by_place(first, reference_bchw)
        return (
            self.merge_first(torch.cat([channel_1, place_1], dim=1)),
            self.merge_second(torch.cat([channel_2, place_2], dim=1)),
        )
