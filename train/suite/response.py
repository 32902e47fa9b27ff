"""A camera's response: exposures added up in light, as its sensor would have.

Shape letters: H height, W width, 3 channels in BGR order.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.pixels import Bytes, round_to_bytes

LAST_MEASURED = 245
"""Highest byte value whose light the published response can have measured."""

Response = npt.NDArray[np.float64]
"""Light for each byte value and channel, [256, 3] BGR, never falling."""


def load_response(path: Path) -> Response:
    """Return the response of a .npy file as OpenCV stores one, [256, 1, channel] with B first.

    The published curve of REDS dips by less than a hundredth at two places; inverting needs it
    monotone. Over its last ten levels it rises five-fold: pixels there were saturated when it was
    measured, so nothing is known of their light. Taken at its word, one white shirt outshines the
    scene (2 dB of bias on GOPR0477); the slope of the levels before goes on instead.
    """
    curve = np.maximum.accumulate(np.load(path).reshape(256, 3).astype(np.float64), axis=0)
    step = (curve[LAST_MEASURED] / curve[LAST_MEASURED - 20]) ** (1 / 20)
    beyond = np.arange(1, 256 - LAST_MEASURED)
    curve[LAST_MEASURED + 1 :] = curve[LAST_MEASURED] * step ** beyond[:, None]
    return curve


def expose(frames: Sequence[Bytes], response: Response) -> Bytes:
    """Return the picture that one exposure over all `frames` [H,W,3] would have given."""
    light = np.zeros(frames[0].shape)
    for frame_hwc in frames:
        light += cv2.LUT(frame_hwc, response.reshape(1, 256, 3))
    light /= len(frames)
    codes = np.arange(256.0)
    channels = [np.interp(light[..., c], response[:, c], codes) for c in range(3)]
    return round_to_bytes(np.stack(channels, axis=-1))
