"""Colour tags of video streams, and the conversions between YUV and BGR bytes.

The numbers are those of ITU-T H.273 ("coding-independent code points"), tables 2 to 4, which
FFmpeg and every H.264 file use; libswscale has its own numbers for the same matrices.
"""

from functools import reduce
from operator import or_

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from crispstream.runtime.frame import Colour

_HD_LINES = 720
"""From this height on, untagged video is BT.709; below it is BT.601 (what players assume)."""

_MATRIX_OF_CODE = {
    **dict.fromkeys((1, 7), "bt709"),  # 7, SMPTE 240M, is within 1 % of it
    **dict.fromkeys((4, 5, 6), "bt601"),
    **dict.fromkeys((9, 10), "bt2020"),
}
_TRANSFER = {"bt601": 6, "bt709": 1, "bt2020": 14}
_MATRIX_AND_PRIMARIES = {"bt601": 6, "bt709": 1, "bt2020": 9}
_SWSCALE = {"bt709": 1, "bt601": 5, "bt2020": 9}

# Without these flags libswscale repeats chroma pixels and truncates: up to 5 grey levels of
# error a round trip instead of 2, for 0.15 ms a frame at 320x180 and nothing at 1280x720.
# PyAV 17, the last for Python 3.10, does not know the last three.
_WANTED = ("BILINEAR", "ACCURATE_RND", "FULL_CHR_H_INT", "FULL_CHR_H_INP")
_EXACT = reduce(or_, (Interpolation[n] for n in _WANTED if n in Interpolation.__members__))


def usual_matrix(height: int) -> str:
    """Return the matrix that players assume for untagged video of `height` lines.

    >>> usual_matrix(180), usual_matrix(720)
    ('bt601', 'bt709')
    """
    return "bt709" if height >= _HD_LINES else "bt601"


def colour_of(picture: av.VideoFrame) -> Colour:
    """Read a decoded picture's tags; what is not tagged is as players assume."""
    matrix = _MATRIX_OF_CODE.get(int(picture.colorspace), usual_matrix(picture.height))
    tagged_full = int(picture.color_range) == ColorRange.JPEG
    return Colour(matrix, tagged_full or picture.format.name.startswith("yuvj"))


def output_colour(source: Colour, height: int) -> Colour:
    """Return the mapping to encode an output of `height` lines with: always limited range.

    The matrix is the usual one of the output's height, so that players which ignore tags show
    the right colours too; wide-gamut BT.2020 keeps its own, or its primaries would be lost.
    """
    matrix = source.matrix if source.matrix == "bt2020" else usual_matrix(height)
    return Colour(matrix, full_range=False)


def tag(codec: av.VideoCodecContext, colour: Colour) -> None:
    """Write matrix, range, primaries and transfer into an encoder before it opens."""
    codec.colorspace = _MATRIX_AND_PRIMARIES[colour.matrix]
    codec.color_primaries = _MATRIX_AND_PRIMARIES[colour.matrix]
    codec.color_trc = _TRANSFER[colour.matrix]
    codec.color_range = _range(colour)


class FromYuv:
    """Converts decoded pictures of one stream to BGR."""

    def __init__(self, colour: Colour) -> None:
        """`colour` is what the pictures were encoded with."""
        self._colour = colour
        self._reformatter = VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> npt.NDArray[np.uint8]:
        """Return uint8 [H,W,3] BGR, a view of a new picture whose rows may be padded."""
        matrix = _SWSCALE[self._colour.matrix]
        bgr = self._reformatter.reformat(
            picture,
            format="bgr24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=_range(self._colour),
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT,
            threads=1,
        )
        plane = bgr.planes[0]
        shape = (bgr.height, bgr.width, 3)
        return np.ndarray(
            shape, np.uint8, buffer=memoryview(plane), strides=(plane.line_size, 3, 1)
        )


class ToYuv:
    """Converts BGR frames of one stream to YUV 4:2:0."""

    def __init__(self, colour: Colour) -> None:
        """`colour` is what the pictures shall be encoded with."""
        self._colour = colour
        self._reformatter = VideoReformatter()

    def __call__(self, frame_hwc: npt.NDArray[np.uint8]) -> av.VideoFrame:
        """Return a new YUV picture; the frame uint8 [H,W,3] is read in place, never copied."""
        return self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(frame_hwc, format="bgr24"),
            format="yuv420p",
            dst_colorspace=_SWSCALE[self._colour.matrix],
            src_color_range=ColorRange.JPEG,
            dst_color_range=_range(self._colour),
            interpolation=_EXACT,
            threads=1,
        )


def _range(colour: Colour) -> int:
    return int(ColorRange.JPEG if colour.full_range else ColorRange.MPEG)
