"""The image that a network's residual is added to: the frame, bilinearly enlarged, at LR cost.

Bilinear x4 with half-pixel centres needs three source pixels a side, so it is one fixed 3x3
convolution from 3 to 48 sub-pixel channels. Measured against a bilinear resize at the enlarged
size, whose float image alone is 11 MB for 1280x720: see docs/decisions/003-the-tail.md.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from crispstream.core.pixels import SCALE


def bilinear_taps() -> Tensor:
    """Return the weight of each of 3 neighbours for each of 4 sub-pixels, [4, 3].

    >>> bilinear_taps().sum(dim=1).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    offset = (torch.arange(SCALE) + 0.5) / SCALE - 0.5
    neighbours = torch.tensor([-1.0, 0.0, 1.0])
    return (1 - (offset[:, None] - neighbours).abs()).clamp(min=0)


def base_kernel() -> Tensor:
    """Return the convolution [48, 3, 3, 3] from a frame to its enlargement's sub-pixels."""
    taps = bilinear_taps()
    square = torch.einsum("ik,jl->ijkl", taps, taps).reshape(SCALE * SCALE, 3, 3)
    kernel = torch.zeros(3, SCALE * SCALE, 3, 3, 3)
    for channel in range(3):
        kernel[channel, :, channel] = square
    return kernel.reshape(3 * SCALE * SCALE, 3, 3, 3)


def base_subpixels(x_bchw: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the enlarged frame as sub-pixels, [B,3,H,W] -> [B,48,H,W]; borders repeat.

    Never in mixed precision: the eight bits of a bfloat16 are no finer than those of the frame.
    """
    reach = (kernel.shape[-1] // 2,) * 4
    edged = functional.pad(x_bchw, reach, mode="replicate") if reach[0] else x_bchw
    with _full_precision(x_bchw):
        return functional.conv2d(edged, kernel, bias)


def _full_precision(values: Tensor) -> AbstractContextManager[object]:
    """Return a context without mixed precision on the device of `values`.

    Values that are only counted lie on the device "meta", which knows no mixed precision.
    """
    device = values.device.type
    can_mix = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if can_mix else nullcontext()
