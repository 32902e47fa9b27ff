"""Figures of a frame's look: what calibration frames are chosen by and live frames watched for.

Grey levels are 0 to 255. Everything is measured on luma as OpenCV forms it from BGR.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .pixels import Bytes

_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NOISE_GAIN = 6.0  # root of the sum of the kernel's squares: what it does to white noise
_MEDIAN_TO_SIGMA = 1 / 0.6745  # of |x|, for a Gaussian


class Figures(NamedTuple):
    """How one frame looks. Each is a float; the order is that of the names."""

    brightness: float
    """Mean grey level."""
    contrast: float
    """Standard deviation of the grey levels."""
    sharpness: float
    """Standard deviation of the Laplacian over contrast: falls as blur grows, no unit."""
    texture: float
    """Mean length of the Sobel gradient, grey levels a pixel."""
    noise: float
    """Standard deviation of the noise, grey levels: the median of a filter that is blind to
    edges and slopes (J. Immerkaer, "Fast Noise Variance Estimation", CVIU 64, 1996)."""


class FrameMeter:
    """Measures frames; keeps its buffers as long as their size stays."""

    def __init__(self) -> None:
        """Start without buffers."""
        self._grey: Bytes = np.empty((0, 0), np.uint8)
        self._filtered: list[npt.NDArray[np.float32]] = []

    def measure(self, frame_hwc: Bytes) -> Figures:
        """Return the figures of a frame [H,W,3].

        >>> FrameMeter().measure(np.full((8, 8, 3), 40, np.uint8))
        Figures(brightness=40.0, contrast=0.0, sharpness=0.0, texture=0.0, noise=0.0)
        """
        self._fit(frame_hwc.shape[0], frame_hwc.shape[1])
        grey, (first, second) = self._grey, self._filtered
        cv2.cvtColor(frame_hwc, cv2.COLOR_BGR2GRAY, dst=grey)
        brightness, contrast = _mean_and_spread(grey)
        cv2.Laplacian(grey, cv2.CV_32F, dst=first)
        sharpness = _mean_and_spread(first)[1] / contrast if contrast else 0.0
        cv2.Sobel(grey, cv2.CV_32F, 1, 0, dst=first, scale=1 / 8)
        cv2.Sobel(grey, cv2.CV_32F, 0, 1, dst=second, scale=1 / 8)
        cv2.magnitude(first, second, magnitude=first)
        texture = float(cv2.mean(first)[0])
        cv2.filter2D(grey, cv2.CV_32F, _NOISE_KERNEL, dst=first)
        np.abs(first, out=first)
        noise = _median_of_wholes(first) * _MEDIAN_TO_SIGMA / _NOISE_GAIN
        return Figures(brightness, contrast, sharpness, texture, noise)

    def _fit(self, height: int, width: int) -> None:
        if self._grey.shape != (height, width):
            self._grey = np.empty((height, width), np.uint8)
            self._filtered = [np.empty((height, width), np.float32) for _ in range(2)]


def _mean_and_spread(plane: npt.NDArray[np.uint8 | np.float32]) -> tuple[float, float]:
    mean, spread = cv2.meanStdDev(plane)
    return float(mean[0, 0]), float(spread[0, 0])


def _median_of_wholes(plane: npt.NDArray[np.float32]) -> float:
    """Return the median of whole numbers up to 4 * 2 * 255, between the steps.

    Inside the step that holds the median the numbers are taken to be spread evenly; else weak
    noise would be 0 or nothing.
    """
    counts = cv2.calcHist([plane], [0], None, [2048], [-0.5, 2047.5]).ravel()
    below = np.cumsum(counts)
    half = plane.size / 2
    step = int(np.searchsorted(below, half))
    before = float(below[step - 1]) if step else 0.0
    return max(0.0, step - 0.5 + (half - before) / float(counts[step])) if step else 0.0
