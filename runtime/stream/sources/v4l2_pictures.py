"""What lies in a camera's buffers, turned into BGR, with the colours that the kernel tells."""

import av
import av.error

from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream.colour import FromYuv, colour_of

from .raw import Plane, RawPictures
from .v4l2_device import Format
from .v4l2_modes import COMPRESSED, PIXEL_FORMATS

_BYTES_A_PIXEL = {"yuyv422": 2, "uyvy422": 2, "bgr24": 3, "rgb24": 3, "bgr0": 4}
"""Of a row of the first plane; 1 for the others."""

# The kernel's enums v4l2_colorspace, v4l2_ycbcr_encoding and v4l2_quantization.
_REC709, _JPEG, _SRGB = 3, 7, 8
_MATRIX_OF_COLORSPACE = {2: "bt709", _REC709: "bt709", 12: "bt709", 10: "bt2020"}
_MATRIX_OF_ENCODING = {2: "bt709", 4: "bt709", 6: "bt2020", 7: "bt2020", 8: "bt709"}
_FULL_RANGE = 1
_BT709_PRIMARIES = 1  # ITU-T H.273, table 2


class JpegPictures:
    """Decodes pictures each of which is a JPEG of its own.

    Attributes:
        bytes_needed: the fewest that a picture has.
        colour: what JFIF says that such pictures are in; tags in them are obeyed.
    """

    bytes_needed = 1
    colour = Colour("bt601", full_range=True)

    def __init__(self) -> None:
        """Open the decoder."""
        self._codec = av.CodecContext.create("mjpeg", "r")
        self._codec.thread_count = 1
        self._from_yuv = FromYuv(self.colour)

    def __call__(self, data: memoryview) -> Bytes | None:
        """Return uint8 [H,W,3] BGR; None where the picture is damaged."""
        try:
            pictures = self._codec.decode(av.Packet(bytes(data)))
        except av.error.FFmpegError:
            return None
        if not pictures:
            return None
        colour = colour_of(pictures[0])
        if colour != self.colour:
            self.colour, self._from_yuv = colour, FromYuv(colour)
        return self._from_yuv(pictures[0])


def pictures_of(format_: Format) -> RawPictures | JpegPictures:
    """Return what turns a camera's bytes into pictures."""
    if format_.pixel_format in COMPRESSED:
        return JpegPictures()
    name = PIXEL_FORMATS[format_.pixel_format]
    size = format_.width, format_.height
    return RawPictures(name, size, _planes(name, format_), colour_of_format(format_))


def _planes(name: str, format_: Format) -> tuple[Plane, ...]:
    """Return where the planes lie: one behind the other, chroma of 4:2:0 at half the height."""
    row_bytes = format_.row_bytes or format_.width * _BYTES_A_PIXEL.get(name, 1)
    first = Plane(0, row_bytes, format_.height)
    half = (format_.height + 1) // 2
    if name == "nv12":
        return first, Plane(first.end, row_bytes, half)
    if name == "yuv420p":
        second = Plane(first.end, (row_bytes + 1) // 2, half)
        return first, second, second._replace(offset=second.end)
    return (first,)


def colour_of_format(format_: Format) -> Colour:
    """Return the mapping that the kernel's tags name; 0 there means what goes with the others.

    These defaults are V4L2_MAP_YCBCR_ENC_DEFAULT and V4L2_MAP_QUANTIZATION_DEFAULT of videodev2.h.
    """
    usual = _MATRIX_OF_COLORSPACE.get(format_.colorspace, "bt601")
    encoding = format_.ycbcr_encoding
    matrix = _MATRIX_OF_ENCODING.get(encoding, "bt601") if encoding else usual
    full = format_.quantization == _FULL_RANGE
    if format_.quantization == 0:
        full = format_.colorspace == _JPEG
    # A webcam mixes its YUV by BT.601 from the colours of BT.709, which sRGB has.
    unusual = matrix == "bt601" and format_.colorspace in (_REC709, _JPEG, _SRGB)
    return Colour(matrix, full, primaries=_BT709_PRIMARIES if unusual else 0)
