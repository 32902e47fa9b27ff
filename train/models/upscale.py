"""Bicubic x4 as a fixed convolution, for the networks that start from an interpolated frame.

The cubic of `core/bicubic.py` (Keys 1981, a = -0.5, half-pixel centres), which is what MATLAB's
`imresize` and with it the published numbers use; torch's own bicubic has a = -0.75. Each of the
4x4 sub-pixels is a 5x5 convolution at LR size, so nothing but convolution, slicing and the
shuffle reaches an exported graph.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.bicubic import cubic_kernel
from crispstream.core.pixels import SCALE

REACH_PX = 2
"""LR pixels to each side that an output pixel depends on."""


def bicubic_taps() -> npt.NDArray[np.float64]:
    """Return the weight of each of 5 neighbours for each of 4 sub-pixels, [4, 5].

    The weights are multiples of 1/1024, so float32 holds them and their products exactly.

    >>> bicubic_taps().sum(axis=1).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    offset = (np.arange(SCALE) + 0.5) / SCALE - 0.5
    neighbours = np.arange(-REACH_PX, REACH_PX + 1)
    return cubic_kernel(offset[:, None] - neighbours)


class BicubicX4(nn.Module):
    """Enlarges [B,C,H,W] to [B,C,4H,4W], any value range, not clamped; H and W at least 2.

    A module, because a traced tensor tells its number of channels no more as a plain number. Has
    no parameters and leaves nothing in a state dict.
    """

    kernel: Tensor

    def __init__(self, channels: int = 3) -> None:
        """`channels` is C."""
        super().__init__()
        self.channels = channels
        taps = bicubic_taps()
        square = np.einsum("ik,jl->ijkl", taps, taps).reshape(-1, 1, *2 * taps.shape[1:])
        kernel = torch.tensor(np.tile(square, (channels, 1, 1, 1)), dtype=torch.float32)
        self.register_buffer("kernel", kernel, persistent=False)

    def subpixels(self, x_bchw: Tensor) -> Tensor:
        """Return the enlarged image before its shuffle, [B,16C,H,W]."""
        return functional.conv2d(_mirrored(x_bchw), self.kernel, groups=self.channels)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Enlarge a batch."""
        return functional.pixel_shuffle(self.subpixels(x_bchw), SCALE)


def _mirrored(x_bchw: Tensor) -> Tensor:
    """Repeat two pixels beyond each border, the edge pixel first, as MATLAB does."""
    x = x_bchw
    x = torch.cat([x[..., 1:2], x[..., :1], x, x[..., -1:], x[..., -2:-1]], dim=-1)
    top, bottom = [x[..., 1:2, :], x[..., :1, :]], [x[..., -1:, :], x[..., -2:-1, :]]
    return torch.cat([*top, x, *bottom], dim=-2)
