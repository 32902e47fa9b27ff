"""The chart of the colour test: patches, their standard's maths, and lossless video of them.

Nothing here comes from `runtime.stream.colour`, which is what the test examines. The maths and
the numbers are those of ITU-T H.273 (section 8, tables 2 to 4), in float64.

Shape letters: H height, W width, N patches, 3 channels.
"""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.video.plane import VideoPlane

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

PATCH_PX = 16
_COLUMNS = 7
_GREYS = 21
_FRAMES = 3
_BARS = {
    "white": (1, 1, 1),
    "yellow": (1, 1, 0),
    "cyan": (0, 1, 1),
    "green": (0, 1, 0),
    "magenta": (1, 0, 1),
    "red": (1, 0, 0),
    "blue": (0, 0, 1),
}
_KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
_LIMITED, _FULL = 1, 2
"""FFmpeg's numbers of the ranges."""


class Tags(NamedTuple):
    """What a video says of its colours; 2 and range 0 say nothing."""

    matrix: int
    primaries: int
    transfer: int
    range: int


class Mapping(NamedTuple):
    """One way of coding colours, with the tags that tell it."""

    matrix: str
    full_range: bool
    tags: Tags

    @property
    def name(self) -> str:
        """As in the report."""
        standard = self.matrix.upper().replace("BT", "BT.")
        return f"{standard} {'full' if self.full_range else 'limited'}"


_CODES = {"bt601": (6, 6, 6), "bt709": (1, 1, 1), "bt2020": (9, 9, 14)}
MAPPINGS = tuple(
    Mapping(matrix, full, Tags(*codes, _FULL if full else _LIMITED))
    for matrix, codes in _CODES.items()
    for full in (False, True)
)

PATCHES = {
    **{
        f"grey {100 * step // (_GREYS - 1)} %": (step / (_GREYS - 1),) * 3 for step in range(_GREYS)
    },
    **{
        f"{name} {percent} %": tuple(percent / 100 * value for value in rgb)
        for percent in (75, 100)
        for name, rgb in _BARS.items()
    },
}
"""Red, green and blue from 0 to 1 of each patch: a grey ramp, and bars of 75 % and 100 %."""

_ROWS = len(PATCHES) // _COLUMNS
WIDTH_PX, HEIGHT_PX = _COLUMNS * PATCH_PX, _ROWS * PATCH_PX


def nominal_rgb() -> Floats:
    """Return the patches' red, green and blue, [N,3], 0..1."""
    return np.array(list(PATCHES.values()), np.float64)


def codes_of(rgb: Floats, mapping: Mapping) -> Floats:
    """Return Y, Cb and Cr [...,3], whole numbers of 8 bits, of red, green and blue, 0..1."""
    k_red, k_blue = _KR_KB[mapping.matrix]
    red, green, blue = np.moveaxis(rgb, -1, 0)
    luma = k_red * red + (1 - k_red - k_blue) * green + k_blue * blue
    blue_minus, red_minus = (blue - luma) / (2 - 2 * k_blue), (red - luma) / (2 - 2 * k_red)
    black, luma_span, chroma_span = _spans(mapping)
    luma_code = black + luma_span * luma
    chroma_codes = (128 + chroma_span * minus for minus in (blue_minus, red_minus))
    codes = np.stack((luma_code, *chroma_codes), axis=-1)
    return np.clip(np.round(codes), 0, 255)  # pure red in full range would be 256


def rgb_of(codes: Floats, mapping: Mapping) -> Floats:
    """Return red, green and blue [...,3] of Y, Cb and Cr, clipped to 0..1."""
    k_red, k_blue = _KR_KB[mapping.matrix]
    black, luma_span, chroma_span = _spans(mapping)
    luma = (codes[..., 0] - black) / luma_span
    red = luma + (2 - 2 * k_red) * (codes[..., 2] - 128) / chroma_span
    blue = luma + (2 - 2 * k_blue) * (codes[..., 1] - 128) / chroma_span
    green = (luma - k_red * red - k_blue * blue) / (1 - k_red - k_blue)
    return np.clip(np.stack((red, green, blue), axis=-1), 0, 1)


def _spans(mapping: Mapping) -> tuple[int, int, int]:
    """Return the code of black, and the spans of luma and chroma."""
    return (0, 255, 255) if mapping.full_range else (16, 219, 224)


def painted(values: Bytes) -> Bytes:
    """Return a picture [H,W,3] with a patch of each of the values [N,3]."""
    return np.kron(values.reshape(_ROWS, _COLUMNS, 3), np.ones((PATCH_PX, PATCH_PX, 1), np.uint8))


def middles(plane: Bytes) -> Bytes:
    """Return the inner quarter of every patch, [N,pixels], of a plane of the chart at any size.

    The outer pixels are mixed with the neighbours by chroma subsampling and enlargement.
    """
    high, wide = plane.shape[0] // _ROWS, plane.shape[1] // _COLUMNS
    patches = plane.reshape(_ROWS, high, _COLUMNS, wide).swapaxes(1, 2)
    inner = patches[:, :, high // 4 : high - high // 4, wide // 4 : wide - wide // 4]
    return inner.reshape(len(PATCHES), -1)


def write_chart(path: Path, codes: Bytes, tags: Tags | None) -> None:
    """Write the chart's Y, Cb and Cr [N,3] as lossless video 4:2:0, with these tags or none."""
    planes = painted(codes)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        if tags is not None:
            codec = stream.codec_context
            codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range = tags
        for number in range(_FRAMES):
            picture = av.VideoFrame(WIDTH_PX, HEIGHT_PX, "yuv420p")
            for channel, plane in enumerate(picture.planes):
                step = 1 if channel == 0 else 2
                _rows(plane)[:] = planes[::step, ::step, channel]
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def read_chart(path: Path) -> tuple[Tags, list[list[Bytes]]]:
    """Return the tags of a video of the chart, and of each picture Y, Cb and Cr, [N,pixels]."""
    with av.open(str(path)) as container:
        pictures = [_planes(picture) for picture in container.decode(video=0)]
        codec = container.streams.video[0].codec_context
        seen = (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range)
    return Tags(*map(int, seen)), pictures


def _planes(picture: av.VideoFrame) -> list[Bytes]:
    return [middles(_rows(plane)) for plane in picture.planes]


def _rows(plane: VideoPlane) -> Bytes:
    """Return a view of a picture's plane, [H,W], without the padding of its rows."""
    shape = plane.height, plane.line_size
    padded: Bytes = np.ndarray(shape, np.uint8, buffer=memoryview(plane))
    return padded[:, : plane.width]
