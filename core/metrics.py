"""The one PSNR and the one SSIM."""

import cv2
import numpy as np
import numpy.typing as npt

from .errors import FrameError
from .pixels import Bytes


def _same_shape(a: Bytes, b: Bytes) -> None:
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise FrameError(
            f"cannot compare {a.dtype} {a.shape} with {b.dtype} {b.shape}; "
            "both must be byte images of one size"
        )


def psnr_db(a: Bytes, b: Bytes) -> float:
    """Return the peak signal-to-noise ratio in dB over all pixels and channels, no crop.

    10 log10(255^2 / mean squared difference); infinite for equal images.

    Raises:
        FrameError: if the images differ in shape or are not bytes.
    """
    _same_shape(a, b)
    difference = a.astype(np.int32) - b
    mean_square = float(np.mean(difference * difference, dtype=np.float64))
    return float("inf") if mean_square == 0 else 10 * float(np.log10(255**2 / mean_square))


def ssim(a: Bytes, b: Bytes) -> float:
    """Return the mean structural similarity, -1 to 1, averaged over channels.

    Wang et al. 2004: 11x11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03, the border where
    the window does not fit left out.

    Raises:
        FrameError: if the images differ in shape, are not bytes, or are under 11 pixels.
    """
    _same_shape(a, b)
    if min(a.shape[:2]) < 11:
        raise FrameError(f"SSIM needs at least 11x11 pixels, not {a.shape[1]}x{a.shape[0]}")
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    var_x = _window(x * x) - mean_x**2
    var_y = _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return float(score.mean())


def _window(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian mean of each 11x11 window that lies inside the image."""
    blurred = cv2.GaussianBlur(image, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred[5:-5, 5:-5], np.float64)
