"""The one PSNR and the one SSIM, under each convention of published figures, and mean IoU.

Images are BGR bytes [H,W,3]. All sums run over channels, so their order makes no difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from .errors import FrameError
from .pixels import SCALE, Bytes

Floats = npt.NDArray[np.float64]

LUMA_OF_BGR = (24.966, 128.553, 65.481)
"""Weights of blue, green and red in BT.601 luma of 16 to 235, for colours in 0..1."""

IGNORED_LABEL = 255
"""Pixels of this label are not judged."""


@dataclass(frozen=True)
class Convention:
    """What published figures of one pair of byte images differ in."""

    colour: Literal["rgb", "y"] = "rgb"
    """rgb: the three channels together. y: luma alone, see `luma`."""
    crop_px: int = 0
    """Pixels left out along each border, for PSNR and SSIM alike."""
    ssim: Literal["channels", "volume"] = "channels"
    """channels: Wang et al. 2004, an 11x11 window, kept inside the image, in each channel; the
    mean over channels. volume: MATLAB's `ssim` of a [H,W,3] array, which takes it for a volume:
    an 11x11x11 window, border pixels and border channels repeated, the mean of all positions."""


PLAIN = Convention()
"""How the kit's own figures are made."""

CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {
        "plain": PLAIN,
        "gfn": Convention(crop_px=6, ssim="volume"),
        "cnlrn": Convention(crop_px=4),
        "cmos": Convention(colour="y"),
        "cmsc": Convention(colour="y", crop_px=SCALE),
    }
)
"""The conventions by name.

gfn: Zhang et al., BMVC 2018, the released MATLAB code. cnlrn: Bai et al., CVPRW 2021, released
code. cmos: Chen et al., CVPR 2023, released code. cmsc: Hu et al., 2018, do not say; this is what
papers on super-resolution alone agree on.
"""


def luma(image_bgr: npt.NDArray[np.uint8]) -> Floats:
    """Return BT.601 luma [H,W] of bytes [H,W,3], in levels of 16 to 235, not rounded.

    MATLAB's `rgb2ycbcr` of the bytes as doubles; of the bytes themselves it rounds once more.

    >>> luma(np.array([[[255, 255, 255], [0, 0, 255]]], np.uint8)).round(3).tolist()
    [[235.0, 81.481]]
    """
    return np.asarray(image_bgr.astype(np.float64) @ np.array(LUMA_OF_BGR) / 255 + 16, np.float64)


def psnr_db(a: Bytes, b: Bytes, convention: Convention = PLAIN) -> float:
    """Return the peak signal-to-noise ratio in dB over all pixels and channels that are judged.

    10 log10(255^2 / mean squared difference); infinite for equal images.

    Raises:
        FrameError: if the images differ in shape, are not bytes, or nothing is left of them.
    """
    return _psnr_db(*_judged(a, b, convention), peak=255)


def ssim(a: Bytes, b: Bytes, convention: Convention = PLAIN) -> float:
    """Return the mean structural similarity, -1 to 1.

    Wang et al. 2004: Gaussian window of 11 pixels and sigma 1.5, K1 0.01, K2 0.03.

    Raises:
        FrameError: if the images differ in shape, are not bytes, or under 11 pixels are left.
    """
    return _ssim(*_judged(a, b, convention), volume=convention.ssim == "volume")


def sigma_psnr_db(a: npt.NDArray[Any], b: npt.NDArray[Any], kernel_px: int) -> float:
    """Return the PSNR in dB of two maps [H,W] of a Gaussian blur's sigma, in pixels.

    As CMOS (Chen et al., CVPR 2023) judges them: divided by the largest sigma that a kernel of
    `kernel_px` pixels stands for, (kernel_px - 1) / 4, with a peak of 1.

    Raises:
        FrameError: if the maps differ in shape.
    """
    return _psnr_db(*_shares(a, b, kernel_px), peak=1)


def sigma_ssim(a: npt.NDArray[Any], b: npt.NDArray[Any], kernel_px: int) -> float:
    """Return the SSIM of two maps of sigma, divided as in `sigma_psnr_db`, as levels of 0..255.

    Raises:
        FrameError: if the maps differ in shape or are under 11 pixels.
    """
    x, y = _shares(a, b, kernel_px)
    return _ssim(x * 255, y * 255, volume=False)


def mean_of(figures: Sequence[float]) -> float:
    """Return the mean, infinite where exact frames make it so, NaN of infinities of both signs.

    >>> mean_of([30, float("inf")])
    inf
    """
    with np.errstate(invalid="ignore"):
        return float(np.mean(figures))


class MeanIou:
    """Mean intersection over union of label maps, counted over a whole set.

    A class occurs if a judged pixel has it in the truth or in what was found; classes that do
    not occur are left out of the mean.
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._both = np.zeros(IGNORED_LABEL, np.int64)
        self._found = np.zeros(IGNORED_LABEL, np.int64)
        self._true = np.zeros(IGNORED_LABEL, np.int64)

    def add(self, found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> None:
        """Count the pixels of one map; those whose truth is 255 are left out.

        Raises:
            FrameError: if the maps differ in shape.
        """
        if found.shape != truth.shape:
            raise FrameError(
                f"cannot compare labels of shape {found.shape} with labels of shape {truth.shape}; "
                "both must be of one size"
            )
        judged = truth != IGNORED_LABEL
        self._both += _counts(truth[judged & (found == truth)])
        self._found += _counts(found[judged])
        self._true += _counts(truth[judged])

    def value(self) -> float | None:
        """Return the mean over the classes that occur, 0 to 1; None if no pixel was judged."""
        union = self._found + self._true - self._both
        occurs = union > 0
        return float(np.mean(self._both[occurs] / union[occurs])) if occurs.any() else None


def _counts(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.bincount(labels.astype(np.int64).ravel(), minlength=IGNORED_LABEL)


def _judged(a: Bytes, b: Bytes, convention: Convention) -> tuple[Floats, Floats]:
    """Return what the convention compares of two images, each [h,w,C]."""
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise FrameError(
            f"cannot compare {a.dtype} {a.shape} with {b.dtype} {b.shape}; "
            "both must be byte images of one size"
        )
    edge, (rows, cols) = convention.crop_px, a.shape[:2]
    if min(rows, cols) <= 2 * edge:
        raise FrameError(
            f"nothing is left of {cols}x{rows} pixels without {edge} along each border; "
            "judge larger images, or choose another convention"
        )
    inside = slice(edge, rows - edge), slice(edge, cols - edge)
    if convention.colour == "y":
        return luma(a[inside])[..., None], luma(b[inside])[..., None]
    return a[inside].astype(np.float64), b[inside].astype(np.float64)


def _shares(a: npt.NDArray[Any], b: npt.NDArray[Any], kernel_px: int) -> tuple[Floats, Floats]:
    if a.shape != b.shape or a.ndim != 2:
        raise FrameError(
            f"cannot compare maps of sigma of shapes {a.shape} and {b.shape}; "
            "both must be [H,W] of one size"
        )
    largest = (kernel_px - 1) / 4
    return a.astype(np.float64) / largest, b.astype(np.float64) / largest


def _psnr_db(x: Floats, y: Floats, peak: float) -> float:
    mean_square = float(np.mean((x - y) ** 2))
    return float("inf") if mean_square == 0 else 10 * float(np.log10(peak**2 / mean_square))


def _ssim(x: Floats, y: Floats, *, volume: bool) -> float:
    """Return the mean SSIM of levels in 0..255, [h,w,C] or [h,w]."""
    if min(x.shape[:2]) < 11:
        raise FrameError(f"SSIM needs at least 11x11 pixels, not {x.shape[1]}x{x.shape[0]}")
    window = _volume_window if volume else _window
    mean_x, mean_y = window(x), window(y)
    var_x = window(x * x) - mean_x**2
    var_y = window(y * y) - mean_y**2
    covariance = window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return float(score.mean())


def _window(image: Floats) -> Floats:
    """Gaussian mean of each 11x11 window that lies inside the image."""
    blurred = cv2.GaussianBlur(image, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred[5:-5, 5:-5], np.float64)


def _volume_window(volume: Floats) -> Floats:
    """Gaussian mean of the 11x11x11 window around each place; what lies outside is repeated."""
    blurred = cv2.GaussianBlur(volume, (11, 11), 1.5, borderType=cv2.BORDER_REPLICATE)
    channels = volume.shape[2]
    # Few channels, most of the window outside: one small matrix says how much of which is seen.
    mixing = np.zeros((channels, channels))
    for offset, weight in zip(range(-5, 6), cv2.getGaussianKernel(11, 1.5).ravel(), strict=True):
        for channel in range(channels):
            mixing[min(max(channel + offset, 0), channels - 1), channel] += weight
    return np.asarray(blurred @ mixing, np.float64)
