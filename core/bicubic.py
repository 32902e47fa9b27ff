"""The one bicubic: MATLAB's `imresize`, which published numbers are made with.

Cubic kernel with a = -0.5 (Keys 1981), half-pixel centres, mirrored border, and for
down-scaling a kernel widened by 1/scale (antialiasing). Computed in float64. OpenCV's
INTER_CUBIC has a = -0.75 and no antialiasing: it scores up to 0.25 dB differently.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .pixels import SCALE, Bytes, round_to_bytes

Floats = npt.NDArray[np.float64]


def cubic_kernel(distance: Floats) -> Floats:
    """Return Keys' cubic convolution kernel, a = -0.5, at `distance` pixels.

    >>> cubic_kernel(np.array([0.0, 1.0, 2.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    d = np.abs(distance)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@lru_cache(maxsize=32)
def _taps(size_in: int, scale: float) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return for each output position its source indices [out, taps] and their weights."""
    size_out = int(np.ceil(size_in * scale))
    stretch = min(scale, 1.0)
    centre = (np.arange(size_out) + 0.5) / scale - 0.5
    taps = int(np.ceil(4 / stretch)) + 2
    index = np.floor(centre - 2 / stretch).astype(np.intp)[:, None] + np.arange(taps)
    weight = cubic_kernel((centre[:, None] - index) * stretch)
    weight /= weight.sum(axis=1, keepdims=True)
    mirrored = np.mod(index, 2 * size_in)
    mirrored = np.where(mirrored < size_in, mirrored, 2 * size_in - 1 - mirrored)
    used = np.any(weight != 0, axis=0)
    return mirrored[:, used], weight[:, used]


def _resize_rows(image: Floats, scale: float) -> Floats:
    index, weight = _taps(image.shape[0], scale)
    out = np.zeros((index.shape[0], *image.shape[1:]))
    for tap in range(index.shape[1]):
        out += weight[:, tap].reshape(-1, *([1] * (image.ndim - 1))) * image[index[:, tap]]
    return out


def resize_bicubic(image_hwc: npt.NDArray[np.generic], scale: float) -> Floats:
    """Resize an image [H,W,C] by `scale`, any value range; the result is not clipped.

    Rows first, then columns, as MATLAB does for equal scales.
    """
    rows = _resize_rows(image_hwc.astype(np.float64), scale)
    return _resize_rows(rows.swapaxes(0, 1), scale).swapaxes(0, 1)


_PHASES = [cubic_kernel((p + 0.5) / SCALE - 0.5 - np.arange(-2.0, 3.0)) for p in range(SCALE)]
"""The kernel over source pixels -2 to 2, for each of the 4 places between two pixels."""
_WHOLE = np.ones(1)
_CV2: Any = cv2  # its types know neither a scalar beside a picture nor float64 alone
_HALVES_UP = 2.0**-21
"""OpenCV rounds halves to even; all sums here are multiples of 2**-20, so nothing else moves."""


def upscale_x4(frame_hwc: Bytes) -> Bytes:
    """Return the frame [H,W,3] enlarged to [4H,4W,3] bytes.

    The bytes of `resize_bicubic`, in a fifteenth of its time: every weight is a multiple of
    1/1024 here, so that float64 sums are exact in any order, and OpenCV's filters may make them.
    """
    height, width, channels = frame_hwc.shape
    rows = np.empty((height, SCALE, width, channels))
    for phase, kernel in enumerate(_PHASES):
        _filtered(frame_hwc, _WHOLE, kernel, rows[:, phase])
    tall = rows.reshape(SCALE * height, width, channels)
    columns = [_bytes(_filtered(tall, kernel, _WHOLE)) for kernel in _PHASES]
    merged = cv2.merge(columns)
    return np.asarray(merged, np.uint8).reshape(SCALE * height, SCALE * width, channels)


def _filtered(
    image_hwc: npt.NDArray[np.generic], along: Floats, down: Floats, out: Floats | None = None
) -> Floats:
    return np.asarray(
        _CV2.sepFilter2D(image_hwc, cv2.CV_64F, along, down, dst=out, borderType=cv2.BORDER_REFLECT)
    )


def _bytes(image_hwc: Floats) -> Bytes:
    return np.asarray(_CV2.add(image_hwc, _HALVES_UP, dtype=cv2.CV_8U))


def downscale_x4(frame_hwc: Bytes) -> Bytes:
    """Return the frame [4H,4W,3] reduced to [H,W,3] bytes, antialiased."""
    return round_to_bytes(resize_bicubic(frame_hwc, 1.0 / SCALE))
