"""The colour contract: tags are read, obeyed, carried; the maths is the standards'."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.frame import RGB, Colour
from crispstream.runtime.stream.colour import FromYuv, ToYuv, colour_of, output_colour, tag

MATRICES = ("bt601", "bt709", "bt2020")
COLOURS = [Colour(matrix, full) for matrix in MATRICES for full in (False, True)]
# Kr and Kb, and the codes of matrix, primaries, transfer: ITU-T H.273, tables 4, 2 and 3.
KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
CODES = {"bt601": (6, 6, 6), "bt709": (1, 1, 1), "bt2020": (9, 9, 14)}
PATCH_PX = 8


def yuv_of(bgr: npt.NDArray[np.float64], colour: Colour) -> npt.NDArray[np.float64]:
    k_red, k_blue = KR_KB[colour.matrix]
    blue, green, red = np.moveaxis(bgr / 255, -1, 0)
    luma = k_red * red + (1 - k_red - k_blue) * green + k_blue * blue
    chroma = [(blue - luma) / 2 / (1 - k_blue), (red - luma) / 2 / (1 - k_red)]
    black, luma_span, chroma_span = (0, 255, 255) if colour.full_range else (16, 219, 224)
    return np.stack([black + luma_span * luma, *(128 + chroma_span * c for c in chroma)], -1)


def bgr_of(yuv: npt.NDArray[np.float64], colour: Colour) -> npt.NDArray[np.float64]:
    k_red, k_blue = KR_KB[colour.matrix]
    black, luma_span, chroma_span = (0, 255, 255) if colour.full_range else (16, 219, 224)
    luma = (yuv[..., 0] - black) / luma_span
    blue = luma + 2 * (1 - k_blue) * (yuv[..., 1] - 128) / chroma_span
    red = luma + 2 * (1 - k_red) * (yuv[..., 2] - 128) / chroma_span
    green = (luma - k_red * red - k_blue * blue) / (1 - k_red - k_blue)
    return 255 * np.clip(np.stack([blue, green, red], -1), 0, 1)


def colour_cube() -> npt.NDArray[np.float64]:
    """Every grey, then a grid of colours, BGR."""
    steps = np.round(np.linspace(0, 255, 10))
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    return np.concatenate([np.repeat(np.arange(256.0)[:, None], 3, 1), grid, grid[-24:]])


CUBE = colour_cube()
ROWS, COLUMNS = 40, 32  # patches


def patches(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    rounded = np.round(values).astype(np.uint8).reshape(ROWS, COLUMNS, 3)
    return np.kron(rounded, np.ones((PATCH_PX, PATCH_PX, 1), np.uint8))


def yuv_picture(yuv: npt.NDArray[np.uint8], pixel_format: str = "yuv420p") -> av.VideoFrame:
    picture = av.VideoFrame(yuv.shape[1], yuv.shape[0], pixel_format)
    for channel, plane in enumerate(picture.planes):
        rows = np.ndarray((plane.height, plane.line_size), np.uint8, buffer=memoryview(plane))
        step = yuv.shape[0] // plane.height
        rows[:, : plane.width] = yuv[::step, ::step, channel]
    return picture


def codes_of(picture: av.VideoFrame) -> npt.NDArray[np.float64]:
    """Y, Cb and Cr in the middle of every patch."""
    found = []
    for plane in picture.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width]
        step = rows.shape[0] // ROWS
        found.append(rows[step // 2 :: step, step // 2 :: step].ravel())
    return np.stack(found, -1).astype(np.float64)


def bgr_codes_of(pixels_hwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    middle = slice(PATCH_PX // 2, None, PATCH_PX)
    return pixels_hwc[middle, middle].reshape(-1, 3).astype(np.float64)


def tagged(picture: av.VideoFrame, matrix: int = 2, full: int = 0) -> av.VideoFrame:
    picture.colorspace, picture.color_range = matrix, full
    return picture


def small(pixel_format: str = "yuv420p", height: int = 48) -> av.VideoFrame:
    return av.VideoFrame(64, height, pixel_format)


@pytest.mark.parametrize("colour", COLOURS, ids=str)
def test_reading_is_the_standards_maths(colour: Colour) -> None:
    codes = np.clip(np.round(yuv_of(CUBE, colour)), 0, 255)
    pixels_hwc = FromYuv(colour)(yuv_picture(patches(codes)))
    off = np.abs(bgr_codes_of(pixels_hwc) - bgr_of(codes, colour))
    assert off.max() < 0.6  # half a level is rounding
    grey = bgr_codes_of(pixels_hwc)[:256]
    assert np.ptp(grey, axis=1).max() == 0, "grey has a tint"


@pytest.mark.parametrize("colour", COLOURS, ids=str)
def test_writing_is_the_standards_maths(colour: Colour) -> None:
    """libswscale since FFmpeg 7.1.1 cuts the chroma of full range instead of rounding it."""
    codes = codes_of(ToYuv(colour)(patches(CUBE)))
    assert np.abs(codes - yuv_of(CUBE, colour)).max() < (1.1 if colour.full_range else 0.6)
    assert np.all(codes[:256, 1:] == 128), "grey has a tint"


@pytest.mark.parametrize("colour", COLOURS, ids=str)
def test_what_is_carried_comes_back(colour: Colour) -> None:
    codes = np.clip(np.round(yuv_of(CUBE, colour)), 0, 255)
    pixels_hwc = FromYuv(colour)(yuv_picture(patches(codes)))
    back = codes_of(ToYuv(colour)(np.ascontiguousarray(pixels_hwc)))
    assert np.abs(back - codes).max() <= 1
    assert np.array_equal(back[:256], codes[:256]), "a grey ramp comes back as it was"


@pytest.mark.parametrize(
    ("code", "matrix"),
    [(1, "bt709"), (4, "bt601"), (5, "bt601"), (6, "bt601"), (7, "bt709"), (9, "bt2020"),
     (10, "bt2020")],
)  # fmt: skip
def test_tagged_matrices_are_obeyed_at_any_height(code: int, matrix: str) -> None:
    assert {colour_of(tagged(small(height=h), code)).matrix for h in (48, 720)} == {matrix}


@pytest.mark.parametrize("code", [0, 2, 3, 99])
def test_without_a_usable_matrix_the_height_decides(code: int) -> None:
    """0 is RGB's, which YUV cannot have; 3 is reserved."""
    assert colour_of(tagged(small(height=576), code)) == Colour("bt601", full_range=False)
    assert colour_of(tagged(small(height=720), code)) == Colour("bt709", full_range=False)


@pytest.mark.parametrize("code", [8, 14])
def test_colours_that_are_no_yuv_are_refused(code: int) -> None:
    with pytest.raises(SourceError, match=rf"matrix {code} of ITU-T H\.273.*convert"):
        colour_of(tagged(small(), code))


@pytest.mark.parametrize(
    ("pixel_format", "tagged_range", "full"),
    [("yuv420p", 0, False), ("yuv420p", 1, False), ("yuv420p", 2, True), ("yuvj420p", 0, True),
     ("gray", 0, True), ("gray", 1, False), ("nv12", 2, True)],
)  # fmt: skip
def test_the_range_is_read(pixel_format: str, tagged_range: int, full: bool) -> None:
    assert colour_of(tagged(small(pixel_format), 1, tagged_range)).full_range == full


@pytest.mark.parametrize("pixel_format", ["bgr24", "rgb24", "bgra", "gbrp", "pal8"])
def test_rgb_pictures_have_no_mapping(pixel_format: str) -> None:
    assert colour_of(small(pixel_format)) == RGB


@pytest.mark.parametrize("pixel_format", ["rgb24", "gbrp", "bgra"])
@pytest.mark.parametrize("tagged_range", [0, 1, 2])
def test_rgb_pictures_come_as_they_are(pixel_format: str, tagged_range: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    picture = av.VideoFrame.from_ndarray(pixels, "bgr24").reformat(format=pixel_format)
    picture.color_range = tagged_range
    assert np.array_equal(FromYuv(colour_of(picture))(picture), pixels)


@pytest.mark.parametrize("tagged_range", [0, 1, 2])
def test_grey_cameras_keep_their_levels(tagged_range: int) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    picture = tagged(av.VideoFrame.from_ndarray(ramp, "gray"), full=tagged_range)
    levels = np.arange(256.0)
    expected = np.clip((levels - 16) * 255 / 219, 0, 255) if tagged_range == 1 else levels
    seen = FromYuv(colour_of(picture))(picture)
    assert np.abs(seen - expected[None, :, None]).max() <= 0.5


def test_ten_bits_become_the_nearest_eight() -> None:
    picture = tagged(av.VideoFrame(1024, 16, "yuv420p10le"), 1, 1)
    for plane in picture.planes:
        shape = (plane.height, plane.line_size // 2)
        rows = np.ndarray(shape, np.uint16, buffer=memoryview(plane))
        rows[:] = np.arange(shape[1]) if plane.width == 1024 else 512
    expected = np.clip((np.arange(1024.0) - 64) * 255 / 876, 0, 255)
    seen = FromYuv(colour_of(picture))(picture)
    assert np.abs(seen - expected[None, :, None]).max() <= 0.6


@pytest.mark.parametrize("height", [96, 2160])
@pytest.mark.parametrize("colour", COLOURS, ids=str)
def test_the_output_has_the_sources_mapping(colour: Colour, height: int) -> None:
    assert output_colour(colour, height) == colour
    strange = replace(colour, primaries=12, transfer=16)
    assert output_colour(strange, height) == strange


@pytest.mark.parametrize(("height", "matrix"), [(576, "bt601"), (720, "bt709")])
def test_rgb_sources_get_what_players_assume(height: int, matrix: str) -> None:
    colour = output_colour(RGB, height)
    assert (colour.matrix, colour.full_range) == (matrix, False)
    assert tags_of(colour) == (CODES[matrix][0], 1, CODES[matrix][2], 1)


def tags_of(colour: Colour) -> tuple[int, int, int, int]:
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    tag(codec, colour)
    return codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range


@pytest.mark.parametrize("colour", COLOURS, ids=str)
def test_the_output_is_tagged_in_full(colour: Colour) -> None:
    assert tags_of(colour) == (*CODES[colour.matrix], 2 if colour.full_range else 1)


def frames_through_x264(codes: Iterable[int], full: int) -> av.VideoFrame:
    """A picture decoded from a stream with these codes of matrix, primaries and transfer."""
    encoder = av.CodecContext.create("libx264", "w")
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.framerate = 25
    encoder.colorspace, encoder.color_primaries, encoder.color_trc = codes
    encoder.color_range = full
    packets = [*encoder.encode(small()), *encoder.encode(None)]
    return next(picture for packet in [*packets, None] for picture in decoder.decode(packet))


needs_tags = pytest.mark.skipif(
    not hasattr(av.VideoFrame, "color_trc"), reason="PyAV before 17 does not tell them"
)


@needs_tags
@pytest.mark.parametrize(
    ("codes", "full", "expected"),
    [
        ((1, 1, 1), 1, Colour("bt709", full_range=False)),
        ((5, 5, 6), 1, Colour("bt601", full_range=False, primaries=5)),  # 625 lines
        ((6, 6, 6), 2, Colour("bt601", full_range=True)),
        ((6, 1, 13), 2, Colour("bt601", True, primaries=1, transfer=13)),  # webcams: sRGB
        ((9, 9, 16), 1, Colour("bt2020", full_range=False, transfer=16)),  # HDR10
        ((9, 9, 18), 1, Colour("bt2020", full_range=False, transfer=18)),  # HLG
        ((1, 2, 2), 1, Colour("bt709", full_range=False)),
    ],
)
def test_primaries_and_transfer_are_carried(
    codes: tuple[int, int, int], full: int, expected: Colour
) -> None:
    colour = colour_of(frames_through_x264(codes, full))
    assert colour == expected
    carried = tags_of(output_colour(colour, 192))
    usual = CODES[expected.matrix]
    assert carried[0] == usual[0]
    assert (
        carried[1:] == (*(c if c != 2 else u for c, u in zip(codes, usual, strict=True)), full)[1:]
    )


def test_hdr_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for colour in (Colour("bt709", False), Colour("bt2020", False, transfer=16)):
            FromYuv(colour)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "the stream is HDR (PQ)"
    ]


@needs_tags
def test_reserved_codes_do_no_harm() -> None:
    """As VP9 and NVDEC give them; PyAV 17 hands them on to libswscale, which refuses them."""
    picture = tagged(small(), 3)
    picture.color_primaries = picture.color_trc = 0
    colour = colour_of(picture)
    assert colour == Colour("bt601", full_range=False)
    assert FromYuv(colour)(picture).shape == (48, 64, 3)


@pytest.mark.parametrize("full_range", [False, True])
def test_what_a_gpu_decodes_has_the_bytes_of_what_the_cpu_does(full_range: bool) -> None:
    """The same samples as nv12 and as yuv420p."""
    rng = np.random.default_rng(2)
    luma, blue, red = (rng.integers(0, 256, size, np.uint8) for size in ((48, 64), *2 * [(24, 32)]))
    gpu, cpu = av.VideoFrame(64, 48, "nv12"), av.VideoFrame(64, 48, "yuv420p")
    for plane, samples in zip(
        gpu.planes, (luma, np.dstack([blue, red]).reshape(24, 64)), strict=True
    ):
        _rows(plane)[:, : samples.shape[1]] = samples
    for plane, samples in zip(cpu.planes, (luma, blue, red), strict=True):
        _rows(plane)[:, : samples.shape[1]] = samples
    colour = Colour("bt709", full_range)
    np.testing.assert_array_equal(FromYuv(colour)(gpu), FromYuv(colour)(cpu))


def _rows(plane: Any) -> np.ndarray:
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
