"""Raw pictures: every format at odd sizes becomes the colour it holds."""

import numpy as np
import pytest

from crispstream.runtime.frame import RGB, Colour
from crispstream.runtime.stream.sources.gdp import FORMATS, Caps, planes_of
from crispstream.runtime.stream.sources.raw import RawPictures

_LIMITED = Colour("bt601", full_range=False)
_Y, _CB, _CR = 81, 90, 240  # red by BT.601 in limited range
_PIXELS = {
    "YUY2": (_Y, _CB, _Y, _CR),
    "UYVY": (_CB, _Y, _CR, _Y),
    "BGR": (0, 0, 255),
    "RGB": (255, 0, 0),
    "BGRx": (0, 0, 255, 9),
    "RGBx": (255, 0, 0, 9),
}


def _red(caps: Caps) -> bytes:
    """The bytes of a red picture, with 77 in the padding of the rows."""
    data = bytearray(b"\x4d" * max(plane.end for plane in planes_of(caps)))
    half = (caps.width + 1) // 2
    for number, plane in enumerate(planes_of(caps)):
        chroma = (
            (_CB, _CR) * half
            if caps.pixel_format == "NV12"
            else (_CB, _CR)[number - 1 :][:1] * half
        )
        row = bytes((_Y,)) * caps.width if number == 0 else bytes(chroma)
        if caps.pixel_format in _PIXELS:
            pixel = bytes(_PIXELS[caps.pixel_format])
            row = (pixel * caps.width)[: plane.row_bytes]
            row = row[: caps.width * 2] if len(pixel) == 4 and caps.pixel_format[0] in "YU" else row
        for at in range(plane.offset, plane.end, plane.row_bytes):
            data[at : at + len(row)] = row
    return bytes(data)


@pytest.mark.parametrize("pixel_format", sorted(set(FORMATS) - {"GRAY8"}))
@pytest.mark.parametrize("size", [(64, 48), (62, 39), (322, 18)])
def test_red_is_red_in_every_format(pixel_format: str, size: tuple[int, int]) -> None:
    caps = Caps(pixel_format, *size, None, _LIMITED)
    convert = RawPictures(FORMATS[pixel_format], size, planes_of(caps), _LIMITED)
    data = _red(caps)
    assert convert.bytes_needed == len(data)
    pixels_hwc = convert(memoryview(data))
    assert pixels_hwc.shape == (size[1], size[0], 3)
    assert np.abs(pixels_hwc.astype(int) - (0, 0, 255)).max() <= 2
    assert convert.colour == (RGB if pixel_format[:2] in ("BG", "RG") else _LIMITED)


@pytest.mark.parametrize(("full_range", "expected"), [(True, 126), (False, 128)])
def test_grey_obeys_its_range(full_range: bool, expected: int) -> None:
    caps = Caps("GRAY8", 61, 39, None, Colour("bt601", full_range))
    convert = RawPictures("gray", (61, 39), planes_of(caps), caps.colour)
    pixels_hwc = convert(memoryview(bytes([126]) * convert.bytes_needed))
    assert np.abs(pixels_hwc.astype(int) - expected).max() <= 1


def _picture(pixel_format: str, size: tuple[int, int], colour: Colour, data: bytes) -> np.ndarray:
    planes = planes_of(Caps(pixel_format, *size, None, colour))
    return RawPictures(FORMATS[pixel_format], size, planes, colour)(memoryview(data))


def test_nv12_and_i420_of_one_picture_are_the_same_bytes() -> None:
    rng = np.random.default_rng(1)
    luma, blue, red = (
        rng.integers(16, 235, shape, np.uint8) for shape in ((40, 64), *[(20, 32)] * 2)
    )
    i420 = b"".join(plane.tobytes() for plane in (luma, blue, red))
    nv12 = luma.tobytes() + np.dstack([blue, red]).tobytes()
    size = (64, 40)
    expected = _picture("I420", size, _LIMITED, i420)
    assert (_picture("NV12", size, _LIMITED, nv12) == expected).all()


@pytest.mark.parametrize("pixel_format", ["YUY2", "UYVY"])
def test_chroma_of_422_lies_on_every_second_pixel(pixel_format: str) -> None:
    """Reference: BT.601 in full range, red = luma + 1.402 (Cr - 128), Cr linear in between."""
    red_difference = np.array([100, 110, 150, 128, 128, 90, 100, 100], np.uint8)
    quads = [
        (128, 128, 128, cr) if pixel_format == "YUY2" else (128, 128, cr, 128)
        for cr in red_difference
    ]
    row = bytes(byte for quad in quads for byte in quad)
    pixels_hwc = _picture(pixel_format, (16, 4), Colour("bt601", full_range=True), row * 4)
    at = np.minimum(np.arange(16) / 2, 7)
    expected = 128 + 1.402 * (np.interp(at, np.arange(8), red_difference) - 128)
    assert np.abs(pixels_hwc[1, :, 2] - expected).max() <= 1.5


def test_a_picture_does_not_change_with_the_memory_it_came_from() -> None:
    caps = Caps("BGR", 64, 48, None, _LIMITED)
    convert = RawPictures("bgr24", (64, 48), planes_of(caps), _LIMITED)
    data = bytearray(_red(caps))
    pixels_hwc = convert(memoryview(data))
    data[:] = bytes(len(data))
    assert (pixels_hwc == (0, 0, 255)).all()
