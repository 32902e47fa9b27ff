"""GStreamer's data protocol: how pictures come out of another process with their times and format.

Its element `gdppay` puts a header of 62 bytes before each buffer, and sends the format ("caps")
before the first picture and whenever it changes. The layout is that of version 1.0 in
`dataprotocol.c` of GStreamer's plugins-bad, read back here from what gdppay 1.22 writes.
"""

import re
import struct
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from crispstream.core.errors import SourceError
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream.colour import usual_matrix

from .raw import Plane

HEADER_BYTES = 62
BUFFER, CAPS = 1, 2
"""Kinds of payload; all others are events, which tell nothing of the pictures."""

_HEADER = struct.Struct(">BBBxHIQQ")  # big-endian; what follows is of no use here
_VERSION = (1, 0)
_NO_TIME = 2**64 - 1
_LARGEST = 3 * 16384 * 16384

# GStreamer's name -> FFmpeg's. videoconvert turns others into one of these, and leaves these alone.
FORMATS = {
    "I420": "yuv420p",
    "NV12": "nv12",
    "YUY2": "yuyv422",
    "UYVY": "uyvy422",
    "GRAY8": "gray",
    "BGR": "bgr24",
    "RGB": "rgb24",
    "BGRx": "bgr0",
    "RGBx": "rgb0",
}
_PIXEL_BYTES = {"YUY2": 2, "UYVY": 2, "BGR": 3, "RGB": 3, "BGRx": 4, "RGBx": 4}

# GStreamer's short names, all of limited range, and the numbers of range and matrix that it
# writes where none fits, as "1:4:7:1" (video-color.h). The codes are of ITU-T H.273, table 3.
_COLORIMETRIES = {
    "bt601": Colour("bt601", full_range=False),
    "bt709": Colour("bt709", full_range=False),
    "smpte240m": Colour("bt709", full_range=False),
    "bt2020": Colour("bt2020", full_range=False),
    "bt2020-10": Colour("bt2020", full_range=False),
    "bt2100-pq": Colour("bt2020", full_range=False, transfer=16),
    "bt2100-hlg": Colour("bt2020", full_range=False, transfer=18),
}
_MATRICES = {"2": "bt601", "3": "bt709", "4": "bt601", "5": "bt709", "6": "bt2020"}
_FULL_RANGE = "1"


class Header(NamedTuple):
    """What comes before a payload."""

    kind: int
    payload_bytes: int
    pts_ns: int | None
    duration_ns: int


class Caps(NamedTuple):
    """The format of the pictures that follow."""

    pixel_format: str
    """GStreamer's name."""
    width: int
    height: int
    frame_rate: Fraction | None
    colour: Colour


def read_header(data: bytes | memoryview) -> Header:
    """Return what a header says.

    Raises:
        SourceError: if it is none.
    """
    major, minor, _, kind, length, pts_ns, duration_ns = _HEADER.unpack_from(data)
    if (major, minor) != _VERSION or length > _LARGEST:
        raise SourceError(
            f"the pipeline sent something else than GStreamer's data protocol 1.0 (version "
            f"{major}.{minor}, {length} bytes); check the versions of gst-launch-1.0 and gdppay"
        )
    time = None if pts_ns == _NO_TIME else pts_ns
    return Header(kind, length, time, 0 if duration_ns == _NO_TIME else duration_ns)


def read_caps(payload: bytes) -> Caps:
    """Return the format that a payload describes.

    >>> read_caps(b"video/x-raw, format=(string)NV12, width=(int)64, height=(int)48").width
    64

    Raises:
        SourceError: if it is no format that was asked for.
    """
    text = payload.rstrip(b"\0").decode(errors="replace")
    fields = dict(re.findall(r"([\w-]+)=\([\w.]+\)\"?([^,;\"]+)", text))
    try:
        width, height, pixel_format = int(fields["width"]), int(fields["height"]), fields["format"]
    except (KeyError, ValueError):
        raise SourceError(f"the pipeline gives '{text}', expected pictures; check it") from None
    if pixel_format not in FORMATS:
        raise SourceError(f"the pipeline gives {pixel_format}, expected {', '.join(FORMATS)}")
    rate = Fraction(fields.get("framerate", "0/1"))
    colour = _colour(fields.get("colorimetry", "").strip(), height)
    if pixel_format == "GRAY8" and "colorimetry" not in fields:
        colour = replace(colour, full_range=True)  # GStreamer's default for grey
    return Caps(pixel_format, width, height, rate or None, colour)


def _colour(name: str, height: int) -> Colour:
    """Return the mapping of a colorimetry, without one that of untagged video."""
    numbers = name.split(":")
    if len(numbers) == 4:
        matrix = _MATRICES.get(numbers[1], usual_matrix(height))
        return Colour(matrix, full_range=numbers[0] == _FULL_RANGE)
    return _COLORIMETRIES.get(name, Colour(usual_matrix(height), full_range=False))


def planes_of(caps: Caps) -> tuple[Plane, ...]:
    """Return where GStreamer lays the planes: rows begin at multiples of 4 bytes.

    >>> [plane.row_bytes for plane in planes_of(Caps("I420", 61, 39, None, Colour("bt601", False)))]
    [64, 32, 32]
    """
    row_bytes = _up(caps.width * _PIXEL_BYTES.get(caps.pixel_format, 1), 4)
    even = _up(caps.height, 2)
    if caps.pixel_format == "NV12":
        return Plane(0, row_bytes, even), Plane(row_bytes * even, row_bytes, even // 2)
    if caps.pixel_format == "I420":
        first = Plane(0, row_bytes, even)
        second = Plane(first.end, _up(_up(caps.width, 2) // 2, 4), even // 2)
        return first, second, second._replace(offset=second.end)
    return (Plane(0, row_bytes, caps.height),)


def _up(number: int, multiple_of: int) -> int:
    return -(-number // multiple_of) * multiple_of
