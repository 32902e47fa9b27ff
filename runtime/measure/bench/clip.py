"""The frames that a bench runs on: real pictures that move, never noise.

What a network computes hardly depends on the picture, but what a GPU draws, and so its clock, does:
noise, black frames and one frame again and again are all unlike a camera. The pictures are the
check frames of the shipped `edge-n`, whatever is benched, so that everything gets the same.

Shape letters: H height, W width, 3 channels in BGR order, bytes.
"""

import cv2
import numpy as np

from crispstream.core.bundle import Bundle
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import Size
from crispstream.runtime.engine.models import find_model

_SHOWN_BY = "edge-n"
_SHIFTS = 4
_STEP_PX = 8


def clip(size: Size) -> list[Bytes]:
    """Return 16 frames [H,W,3] of (width, height) px: 4 pictures, each moved on 3 times.

    A picture that is too small is continued by its mirror image, so that its detail stays as fine
    as a camera's.

    Raises:
        BundleError: if the shipped bundle is damaged.
    """
    bundle = find_model(_SHOWN_BY)
    pictures = [_picture(bundle, name) for name in bundle.check_frames()]
    return [_window(picture, size, _STEP_PX * n) for n in range(_SHIFTS) for picture in pictures]


def _picture(bundle: Bundle, name: str) -> Bytes:
    data = np.frombuffer(bundle.file_bytes(name), np.uint8)
    decoded: Bytes = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return decoded


def _window(picture_hwc: Bytes, size: Size, shift_px: int) -> Bytes:
    """Return the part of a size that begins `shift_px` to the right of the picture's corner."""
    width, height = size
    rows = max(0, height - picture_hwc.shape[0])
    columns = max(0, width + shift_px - picture_hwc.shape[1])
    large = cv2.copyMakeBorder(picture_hwc, 0, rows, 0, columns, cv2.BORDER_REFLECT_101)
    return np.array(large[:height, shift_px : shift_px + width], np.uint8)
