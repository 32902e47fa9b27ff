"""Uncompressed pictures as cameras and pipelines hand them over, turned into BGR."""

from collections.abc import Callable
from typing import NamedTuple

import av
import cv2
import numpy as np

from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import RGB, Colour
from crispstream.runtime.stream.colour import FromYuv

_TO_BGR = {
    "bgr0": cv2.COLOR_BGRA2BGR,
    "rgb24": cv2.COLOR_RGB2BGR,
    "rgb0": cv2.COLOR_RGBA2BGR,
}
_PIXEL_BYTES = {"bgr24": 3, "rgb24": 3, "bgr0": 4, "rgb0": 4}
"""Of the formats that hold red, green and blue."""

# libswscale takes the chroma of these to lie in the middle of its pixels, and cameras put it at
# the left: half a pixel off. Of yuv420p it knows, and yuv444p leaves nothing to know.
_PLANAR = {"nv12": "yuv420p", "yuyv422": "yuv444p", "uyvy422": "yuv444p"}
_FIRST_LUMA = {"yuyv422": 0, "uyvy422": 1}


class Plane(NamedTuple):
    """Where one plane lies in the bytes of a picture."""

    offset: int
    """Of its first row, in bytes."""
    row_bytes: int
    """From one row to the next."""
    rows: int

    @property
    def end(self) -> int:
        """The first byte after its last row."""
        return self.offset + self.row_bytes * self.rows


class RawPictures:
    """Turns the bytes of pictures of one format and size into BGR."""

    def __init__(
        self, pixel_format: str, size: tuple[int, int], planes: tuple[Plane, ...], colour: Colour
    ) -> None:
        """`pixel_format` is FFmpeg's name of it, as "nv12"; `size` is (width, height) in pixels.

        `colour` is what the pictures are in; of no account where they are red, green and blue.
        """
        self._format, self._size, self._planes = pixel_format, size, planes
        self._convert: Callable[[Bytes], Bytes]
        if pixel_format in _PIXEL_BYTES:
            self.colour = RGB
            self._convert = self._from_rgb
        else:
            self.colour = colour
            self._picture = av.VideoFrame(*size, _PLANAR.get(pixel_format, pixel_format))
            self._to_bgr = FromYuv(colour)
            self._convert = self._from_yuv
        self.bytes_needed = max(plane.end for plane in planes)

    def __call__(self, data: memoryview) -> Bytes:
        """Return uint8 [H,W,3] BGR in memory of its own; `data` holds `bytes_needed` or more."""
        return self._convert(np.frombuffer(data, np.uint8))

    def _from_rgb(self, data: Bytes) -> Bytes:
        width, height = self._size
        plane = self._planes[0]
        channels = _PIXEL_BYTES[self._format]
        rows = data[plane.offset : plane.end].reshape(height, plane.row_bytes)
        pixels = rows[:, : width * channels].reshape(height, width, channels)
        if self._format == "bgr24":
            return pixels.copy()
        return np.asarray(cv2.cvtColor(pixels, _TO_BGR[self._format]), np.uint8)

    def _from_yuv(self, data: Bytes) -> Bytes:
        planes = [self._rows(data, plane) for plane in self._planes]
        for rows, target in zip(self._spread(planes), self._targets(), strict=True):
            # Both have room for a row, with a padding of their own behind it.
            height, width = min(rows.shape[0], target.shape[0]), min(rows.shape[1], target.shape[1])
            target[:height, :width] = rows[:height, :width]
        return self._to_bgr(self._picture)

    @staticmethod
    def _rows(data: Bytes, plane: Plane) -> Bytes:
        return data[plane.offset : plane.end].reshape(plane.rows, plane.row_bytes)

    def _targets(self) -> list[Bytes]:
        return [
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
            for plane in self._picture.planes
        ]

    def _spread(self, planes: list[Bytes]) -> list[Bytes]:
        """Return luma, blue and red difference each for itself."""
        if self._format == "nv12":
            luma, both = planes
            return [luma, both[:, 0::2], both[:, 1::2]]
        if self._format in _FIRST_LUMA:
            at = _FIRST_LUMA[self._format]
            (rows,) = planes
            rows = rows[:, : 4 * ((self._size[0] + 1) // 2)]
            return [rows[:, at::2], _twice(rows[:, 1 - at :: 4]), _twice(rows[:, 3 - at :: 4])]
        return planes


def _twice(half: Bytes) -> Bytes:
    """Return a plane twice as wide: its pixels lie on every second, between them is the mean."""
    wide = np.empty((half.shape[0], 2 * half.shape[1]), np.uint8)
    wide[:, 0::2] = half
    wide[:, -1] = half[:, -1]
    wide[:, 1:-1:2] = cv2.addWeighted(half[:, :-1], 0.5, half[:, 1:], 0.5, 0)
    return wide
