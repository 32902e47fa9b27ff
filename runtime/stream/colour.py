"""The colour contract: what a stream's tags say is read, obeyed, and carried to the output.

A YUV stream keeps its matrix, range, primaries and transfer; what is not tagged is guessed once,
from the source, and then tagged in the output. The numbers are those of ITU-T H.273
("coding-independent code points"), tables 2 (primaries), 3 (transfer) and 4 (matrix), which
FFmpeg and every H.264 file use; libswscale has its own numbers for the same matrices.
"""

import logging
from dataclasses import replace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video import reformatter
from av.video.reformatter import ColorRange, VideoReformatter

from crispstream.core.errors import SourceError
from crispstream.runtime.frame import RGB, Colour

_HD_LINES = 720
"""From this height on, untagged video is BT.709; below it is BT.601 (what players assume)."""

_UNSPECIFIED = 2
_IDENTITY = 0  # the "matrix" of RGB; on YUV pictures a slip of the encoder

_MATRIX_OF_CODE = {
    **dict.fromkeys((1, 7), "bt709"),  # 7, SMPTE 240M, is within 2 % of it
    **dict.fromkeys((4, 5, 6), "bt601"),  # 4, FCC, is within 1 % of it
    **dict.fromkeys((9, 10), "bt2020"),  # 10, constant luminance, has the same numbers
}
_OTHER_MATRICES = {8: "YCgCo", 11: "YDzDx", 12: "chromaticity-derived", 13: "chromaticity-derived",
                   14: "ICtCp", 15: "IPT-PQ-C2", 16: "YCgCo-Re", 17: "YCgCo-Ro"}  # fmt: skip
_PRIMARIES = (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22)
_TRANSFERS = (1, *range(4, 19))
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}

# What goes with a matrix where nothing else is tagged. The 525 lines' primaries stand for BT.601.
_USUAL_PRIMARIES = {"bt601": 6, "bt709": 1, "bt2020": 9, "rgb": 1}
_USUAL_TRANSFER = {"bt601": 6, "bt709": 1, "bt2020": 14, "rgb": 1}
_CODE = {"bt601": 6, "bt709": 1, "bt2020": 9}
_SWSCALE = {"bt709": 1, "bt601": 5, "bt2020": 9}

# SWS_BILINEAR | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_ACCURATE_RND of libswscale's
# swscale.h; PyAV names them all from version 18 on, and takes the numbers before it too. Without
# the last three libswscale repeats chroma pixels and truncates: up to 5 grey levels of error a
# round trip instead of 2, for 0.15 ms a frame at 320x180 and nothing at 1280x720.
_EXACT = 0x2 | 0x2000 | 0x4000 | 0x40000

# PyAV 17 came with tags of primaries and transfer on pictures, and with `threads`; before it the
# only way is one thread.
_TAGS_ON_PICTURES = hasattr(reformatter, "ColorTrc")
_ONE_THREAD: dict[str, Any] = {"threads": 1} if _TAGS_ON_PICTURES else {}

_FULL_OF_LIMITED = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)

_log = logging.getLogger("crispstream.stream")


def usual_matrix(height: int) -> str:
    """Return the matrix that players assume for untagged video of `height` lines.

    >>> usual_matrix(180), usual_matrix(720)
    ('bt601', 'bt709')
    """
    return "bt709" if height >= _HD_LINES else "bt601"


def colour_of(picture: av.VideoFrame) -> Colour:
    """Read a decoded picture's tags; what is not tagged is as players assume.

    Raises:
        SourceError: if the tags name a way of coding colours that is no such matrix.
    """
    primaries, transfer = _UNSPECIFIED, _UNSPECIFIED
    if _TAGS_ON_PICTURES:
        primaries, transfer = int(picture.color_primaries), int(picture.color_trc)
    if picture.format.is_rgb or picture.format.has_palette:
        return _with_codes(RGB, primaries, transfer)
    matrix = _matrix_of(int(picture.colorspace), picture.height)
    return _with_codes(Colour(matrix, _is_full_range(picture)), primaries, transfer)


def _matrix_of(code: int, height: int) -> str:
    if code in _OTHER_MATRICES:
        raise SourceError(
            f"the stream's colours are tagged as {_OTHER_MATRICES[code]} (matrix {code} of ITU-T "
            "H.273), and only BT.601, BT.709, BT.2020 and RGB are known here; convert the stream "
            "to BT.709 first, with a video editor or in the camera's settings"
        )
    return _MATRIX_OF_CODE.get(code, usual_matrix(height))


def _is_full_range(picture: av.VideoFrame) -> bool:
    """FFmpeg's old names of full-range formats count whatever is tagged, as libswscale has it."""
    name, tagged = picture.format.name, int(picture.color_range)
    untagged_grey = name.startswith("gray") and tagged == ColorRange.UNSPECIFIED
    return tagged == ColorRange.JPEG or name.startswith("yuvj") or untagged_grey


def _with_codes(colour: Colour, primaries: int, transfer: int) -> Colour:
    """Return the colour with these codes, 0 where they say nothing beyond the matrix."""
    if primaries == _USUAL_PRIMARIES[colour.matrix] or primaries not in _PRIMARIES:
        primaries = 0
    if transfer == _USUAL_TRANSFER[colour.matrix] or transfer not in _TRANSFERS:
        transfer = 0
    return replace(colour, primaries=primaries, transfer=transfer)


def output_colour(source: Colour, height: int) -> Colour:
    """Return the mapping to encode an output of `height` lines with: the source's own.

    A source of RGB pictures has none: its output gets the usual matrix of its height in limited
    range, so that players which ignore tags show the right colours too.
    """
    if source.matrix != "rgb":
        return source
    usual = Colour(usual_matrix(height), full_range=False)
    primaries = source.primaries or _USUAL_PRIMARIES["rgb"]
    return _with_codes(usual, primaries, source.transfer or _USUAL_TRANSFER[usual.matrix])


def tag(codec: av.VideoCodecContext, colour: Colour) -> None:
    """Write matrix, range, primaries and transfer into an encoder before it opens.

    `colour` is one of `output_colour`: never `rgb`.
    """
    codec.colorspace = _CODE[colour.matrix]
    codec.color_primaries = colour.primaries or _USUAL_PRIMARIES[colour.matrix]
    codec.color_trc = colour.transfer or _USUAL_TRANSFER[colour.matrix]
    codec.color_range = _range(colour)


class FromYuv:
    """Converts decoded pictures of one stream to BGR; RGB pictures pass as they are.

    nv12, as GPUs decode it, is laid out as yuv420p first, byte for byte: libswscale takes the
    chroma of yuv420p to lie at the left, where H.264 and HEVC put it, and that of nv12 in the
    middle, which makes colours at edges differ by up to 12 levels.
    """

    def __init__(self, colour: Colour) -> None:
        """`colour` is what the pictures were encoded with."""
        self._colour = colour
        self._reformatter = VideoReformatter()
        self._planes = VideoReformatter()
        if colour.transfer in _HDR_TRANSFERS:
            _log.warning(
                "the stream is HDR (%s): it is restored with 8 bits a channel and keeps its tags, "
                "and what it says about the mastering display is lost",
                _HDR_TRANSFERS[colour.transfer],
            )

    def __call__(self, picture: av.VideoFrame) -> npt.NDArray[np.uint8]:
        """Return new pixels, uint8 [H,W,3] BGR, whose rows may be padded."""
        if picture.format.name == "nv12":
            picture = self._planes.reformat(picture, format="yuv420p")
        _set_tags(picture, self._colour)
        bgr = self._reformatter.reformat(
            picture,
            format="bgr24",
            src_colorspace=_SWSCALE.get(self._colour.matrix),
            dst_colorspace=_any_other(self._colour.matrix),
            src_color_range=_range(self._colour),
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT,
            **_ONE_THREAD,
        )
        plane = bgr.planes[0]
        shape = (bgr.height, bgr.width, 3)
        pixels_hwc: npt.NDArray[np.uint8] = np.ndarray(
            shape, np.uint8, buffer=memoryview(plane), strides=(plane.line_size, 3, 1)
        )
        if picture.format.name.startswith("gray") and not self._colour.full_range:
            return _FULL_OF_LIMITED[pixels_hwc]  # libswscale takes every grey for full range
        return pixels_hwc


class ToYuv:
    """Converts BGR frames of one stream to YUV 4:2:0."""

    def __init__(self, colour: Colour) -> None:
        """`colour` is what the pictures shall be encoded with; never `rgb`."""
        self._colour = colour
        self._reformatter = VideoReformatter()

    def __call__(self, frame_hwc: npt.NDArray[np.uint8]) -> av.VideoFrame:
        """Return a new YUV picture; the frame uint8 [H,W,3] is read in place, never copied."""
        bgr = av.VideoFrame.from_numpy_buffer(frame_hwc, format="bgr24")
        _set_tags(bgr, self._colour)
        return self._reformatter.reformat(
            bgr,
            format="yuv420p",
            src_colorspace=_any_other(self._colour.matrix),
            dst_colorspace=_SWSCALE[self._colour.matrix],
            src_color_range=ColorRange.JPEG,
            dst_color_range=_range(self._colour),
            interpolation=_EXACT,
            **_ONE_THREAD,
        )


def _set_tags(picture: av.VideoFrame, colour: Colour) -> None:
    """Tag a picture for libswscale.

    PyAV 17 knows no name for BT.2020 and then goes by the picture's own matrix; it also hands
    primaries and transfer on to libswscale, which refuses those it does not know.
    """
    if colour.matrix in _CODE:
        picture.colorspace = _CODE[colour.matrix]
    if _TAGS_ON_PICTURES:
        picture.color_primaries = picture.color_trc = _UNSPECIFIED


def _any_other(matrix: str) -> int:
    """Return a matrix for the RGB side, where none is used.

    Before version 17 PyAV sets libswscale's matrix up only where the two sides differ.
    """
    return _SWSCALE["bt709" if matrix == "bt601" else "bt601"]


def _range(colour: Colour) -> int:
    return int(ColorRange.JPEG if colour.full_range else ColorRange.MPEG)
