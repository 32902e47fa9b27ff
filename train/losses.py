"""Training losses: two tensors and one number, in fp32 also where networks are in less."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crispstream.core.bicubic import resize_bicubic
from crispstream.core.pixels import SCALE

IGNORED_LABEL = 255


def charbonnier(restored: Tensor, truth: Tensor, epsilon: float = 1e-2) -> Tensor:
    """Return the mean of sqrt(difference^2 + epsilon^2): L1, squared below `epsilon`.

    Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution",
    CVPR 2017. Both tensors [B,C,H,W] in 0..1.
    """
    return torch.sqrt((restored - truth).square() + epsilon * epsilon).mean()


def gradient_loss(restored: Tensor, truth: Tensor) -> Tensor:
    """Return the mean L1 of the differences of Sobel gradients, x and y added.

    CNLRN, Bai et al., CVPRW 2021: each channel by itself, a
    border of zeros. Both tensors [B,C,H,W] in 0..1.
    """
    sobel = restored.new_tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    kernels = torch.stack([sobel, sobel.T])[:, None]
    # The filter is linear: the gradient of the difference is the difference of the gradients.
    planes = (restored - truth).flatten(0, 1)[:, None]
    with torch.autocast(planes.device.type, enabled=False):
        across, down = functional.conv2d(planes, kernels, padding=1).unbind(1)
    return across.abs().mean() + down.abs().mean()


def frequency_loss(restored: Tensor, truth: Tensor) -> Tensor:
    """Return the mean L1 of the difference's spectrum, real and imaginary parts.

    Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring" (MIMO-UNet), ICCV
    2021. There the transform is not scaled, here it is orthonormal: a weight means the same for
    patches of all sizes, and theirs of 0.1 on 256x256 pixels would be 26 here. Both tensors
    [B,C,H,W] in 0..1.
    """
    loss: Tensor = _MeanSpectrum.apply(restored.float() - truth)  # type: ignore[no-untyped-call]
    return loss


class _MeanSpectrum(torch.autograd.Function):
    """The mean of |real| and |imaginary| over the half spectrum of real planes.

    Its own backward pass: torch's fills the spectrum up and transforms it as complex numbers.
    """

    @staticmethod
    def forward(ctx: Any, planes: Tensor) -> Tensor:  # noqa: ANN401
        spectrum = torch.view_as_real(torch.fft.rfft2(planes, norm="ortho"))
        ctx.sides, ctx.count = planes.shape[-2:], spectrum.numel()
        loss = spectrum.abs().mean()
        ctx.save_for_backward(spectrum.sign_())
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        (signs,) = ctx.saved_tensors
        half = torch.view_as_complex(signs * (gradient / ctx.count))
        # The inverse counts these columns twice, for the other half that mirrors them.
        half[..., 1 : (ctx.sides[-1] + 1) // 2] *= 0.5
        planes: Tensor = torch.fft.irfft2(half, s=ctx.sides, norm="ortho")
        return planes


def log_error(restored: Tensor, truth: Tensor, floor: float = 2e-5) -> Tensor:
    """Return the mean over images of log(mean square + floor): PSNR, up to sign and unit.

    As in NAFNet (Chen et al., "Simple Baselines for Image Restoration", ECCV 2022). Every image
    counts alike, where a mean of differences is that of the busy ones: a soft scene that is
    sharpened wrongly costs little there, and a decibel here. Both tensors [B,C,H,W] in 0..1; the
    floor is an error of about one grey level.
    """
    return ((restored - truth).square().mean((1, 2, 3)) + floor).log().mean()


def reduced_x4(hr: Tensor) -> Tensor:
    """Return images [B,C,4H,4W] as [B,C,H,W]: `resize_bicubic` on the device of the images."""
    rows, columns = (_reduction(side).to(hr.device) for side in hr.shape[-2:])
    with torch.autocast(hr.device.type, enabled=False):
        return rows @ hr @ columns.T


@lru_cache(maxsize=8)
def _reduction(side: int) -> Tensor:
    """Return what a column of so many pixels is multiplied with, [side / 4, side]."""
    units = np.repeat(np.eye(side)[:, None], SCALE, axis=1)  # one pixel wide after the reduction
    return torch.from_numpy(resize_bicubic(units, 1 / SCALE)[:, 0].astype(np.float32))


def labels_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of [B,C,H,W] logits and [B,1,H,W] labels; 255 does not count.

    Zero where no pixel is labelled, for which the mean is not defined.
    """
    labels = labels[:, 0].long()
    total = functional.cross_entropy(logits, labels, ignore_index=IGNORED_LABEL, reduction="sum")
    return total / (labels != IGNORED_LABEL).sum().clamp(min=1)
