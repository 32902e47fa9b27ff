"""One size for a sink, whatever size the pictures come in."""

import cv2
import numpy as np

from crispstream.core.pixels import Bytes


class Fit:
    """Brings pictures to one size: scaled, with black bars where the shape differs.

    A picture that has the size already passes through untouched. Its buffer is made once.

    >>> fit = Fit(8, 4)
    >>> fit(np.full((2, 2, 3), 200, np.uint8))[0, :, 0].tolist()
    [0, 0, 200, 200, 200, 200, 0, 0]
    """

    def __init__(self, width: int, height: int) -> None:
        """Both in pixels."""
        self._width = width
        self._height = height
        self._buffer: Bytes | None = None
        self._came: tuple[int, ...] = ()
        self._inner: Bytes | None = None

    def __call__(self, image_hwc: Bytes) -> Bytes:
        """Return uint8 [height,width,3]; a view of one buffer, valid until the next call."""
        if image_hwc.shape == (self._height, self._width, 3):
            return image_hwc
        if image_hwc.shape != self._came or self._buffer is None or self._inner is None:
            self._lay_out(image_hwc.shape)
        assert self._buffer is not None
        assert self._inner is not None
        shrinks = self._inner.shape[0] < image_hwc.shape[0]
        # Areas where it shrinks: cubic would let fine patterns shimmer.
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        size = (self._inner.shape[1], self._inner.shape[0])
        cv2.resize(image_hwc, size, dst=self._inner, interpolation=method)
        return self._buffer

    def _lay_out(self, shape: tuple[int, ...]) -> None:
        """Find where a picture of this shape goes, and blacken the rest."""
        height, width = shape[:2]
        ratio = min(self._width / width, self._height / height)
        inner_w = min(self._width, max(1, round(width * ratio)))
        inner_h = min(self._height, max(1, round(height * ratio)))
        left, top = (self._width - inner_w) // 2, (self._height - inner_h) // 2
        self._buffer = np.zeros((self._height, self._width, 3), np.uint8)
        self._inner = self._buffer[top : top + inner_h, left : left + inner_w]
        self._came = shape
