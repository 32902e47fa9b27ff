"""Pixel arithmetic every stage shares.

Shape letters: H height, W width, C channels in BGR order. Sizes are in pixels.
"""

import numpy as np
import numpy.typing as npt

from .errors import FrameError

Bytes = npt.NDArray[np.uint8]
"""Pixels as bytes, 0 to 255."""

SCALE = 4
"""Every network of the kit enlarges by this factor."""

CHANNELS = ("blue", "green", "red")
"""In the order of a pixel's bytes."""


def round_to_bytes(values: npt.NDArray[np.floating]) -> Bytes:
    """Return grey levels as bytes: halves go up, what is outside 0..255 is clipped.

    >>> round_to_bytes(np.array([-3.0, 0.5, 254.5, 300.0]))
    array([  0,   1, 255, 255], dtype=uint8)
    """
    rounded: Bytes = np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
    return rounded


def padded_size(height: int, width: int, multiple_of: int) -> tuple[int, int]:
    """Return the smallest height and width not below these that divide by `multiple_of`.

    >>> padded_size(179, 321, 4)
    (180, 324)
    """
    return height + -height % multiple_of, width + -width % multiple_of


def middle(frame_hwc: Bytes, width: int, height: int) -> Bytes:
    """Return the middle of a frame, at most so large: a view.

    >>> middle(np.zeros((10, 20, 3), np.uint8), 8, 40).shape
    (10, 8, 3)
    """
    top = max(0, frame_hwc.shape[0] - height) // 2
    left = max(0, frame_hwc.shape[1] - width) // 2
    return frame_hwc[top : top + height, left : left + width]


def mirrored(frame_hwc: Bytes, height: int, width: int) -> Bytes:
    """Return a frame continued to this size as by `pad_reflect`, a new array.

    >>> mirrored(np.zeros((10, 20, 3), np.uint8), 12, 20).shape
    (12, 20, 3)

    Raises:
        FrameError: if the frame is larger.
    """
    out = np.empty((height, width, 3), np.uint8)
    pad_reflect(frame_hwc, out)
    return out


def pad_reflect(frame_hwc: Bytes, out: Bytes) -> None:
    """Copy a frame to the top left of `out` and mirror it into the rest.

    Mirroring keeps the gradients near the border, which zeros would not; pixel (0, 0) stays
    where it was. The edge pixel itself is not repeated unless the frame is one pixel wide.

    Raises:
        FrameError: if the frame is larger than `out` or has other channels.
    """
    # Here and not above: where OpenCV is broken, the doctor still has to start, and to say so.
    import cv2

    height, width, channels = frame_hwc.shape
    rows, cols = out.shape[0] - height, out.shape[1] - width
    if rows < 0 or cols < 0 or channels != out.shape[2]:
        raise FrameError(
            f"a frame of shape {frame_hwc.shape} does not fit a buffer of shape {out.shape}; "
            "send frames of the size the restorer was opened for"
        )
    if rows == 0 and cols == 0:
        np.copyto(out, frame_hwc)
        return
    # OpenCV mirrors again and again where the frame is smaller than its padding.
    border = cv2.BORDER_REFLECT_101 if min(height, width) > 1 else cv2.BORDER_REPLICATE
    cv2.copyMakeBorder(frame_hwc, 0, rows, 0, cols, border, dst=out)
