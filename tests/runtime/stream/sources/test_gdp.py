"""GStreamer's data protocol, as gdppay writes it; see test_gstreamer for a real one."""

import struct
from fractions import Fraction

import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream.sources.gdp import (
    BUFFER,
    HEADER_BYTES,
    Caps,
    Header,
    planes_of,
    read_caps,
    read_header,
)


def _header(major: int = 1, length: int = 100, pts_ns: int = 5) -> bytes:
    head = struct.pack(">BBBBHIQQ", major, 0, 0, 0, BUFFER, length, pts_ns, 2**64 - 1)
    return head.ljust(HEADER_BYTES, b"\0")


def test_a_header_tells_kind_length_and_times() -> None:
    assert read_header(_header()) == Header(BUFFER, 100, 5, 0)
    assert read_header(_header(pts_ns=2**64 - 1)).pts_ns is None


@pytest.mark.parametrize("header", [_header(major=71), _header(length=2**31)])
def test_what_is_no_header_is_told(header: bytes) -> None:
    with pytest.raises(SourceError, match=r"something else than GStreamer's data protocol"):
        read_header(header)


def _caps(**fields: str) -> Caps:
    given = {"width": "(int)64", "height": "(int)48", "format": "(string)I420", **fields}
    text = ", ".join(f"{name}={value}" for name, value in given.items())
    return read_caps(f"video/x-raw, {text}\0".encode())


def test_caps_tell_size_rate_and_format() -> None:
    assert _caps(framerate="(fraction)30000/1001") == Caps(
        "I420", 64, 48, Fraction(30000, 1001), Colour("bt601", full_range=False)
    )
    assert _caps(framerate="(fraction)0/1").frame_rate is None


@pytest.mark.parametrize(
    ("colorimetry", "expected"),
    [
        ("bt709", Colour("bt709", full_range=False)),
        ("bt2020", Colour("bt2020", full_range=False)),
        ("bt2100-pq", Colour("bt2020", full_range=False, transfer=16)),
        ("1:4:7:1", Colour("bt601", full_range=True)),
        ("2:3:5:1", Colour("bt709", full_range=False)),
        ("0:0:0:0", Colour("bt601", full_range=False)),
        ("unheard-of", Colour("bt601", full_range=False)),
    ],
)
def test_colorimetry_becomes_matrix_and_range(colorimetry: str, expected: Colour) -> None:
    assert _caps(colorimetry=f"(string){colorimetry}").colour == expected


def test_untagged_pictures_are_read_as_players_do() -> None:
    assert _caps(height="(int)720").colour.matrix == "bt709"
    assert _caps(format="(string)GRAY8").colour.full_range


@pytest.mark.parametrize(
    "payload", [b"audio/x-raw, rate=(int)8000\0", b"video/x-raw, format=(string)VUYA, width=(int)1"]
)
def test_what_is_no_picture_is_told(payload: bytes) -> None:
    with pytest.raises(SourceError, match="expected"):
        read_caps(payload)


@pytest.mark.parametrize(
    ("pixel_format", "size_bytes"),
    # What GStreamer 1.22 sends for 61x39.
    [("I420", 3840), ("NV12", 3840), ("YUY2", 4836), ("BGR", 7176), ("GRAY8", 2496)],
)
def test_planes_are_laid_out_as_gstreamer_does(pixel_format: str, size_bytes: int) -> None:
    planes = planes_of(_caps(width="(int)61", height="(int)39")._replace(pixel_format=pixel_format))
    assert planes[-1].end == size_bytes
