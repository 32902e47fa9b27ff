"""The synthetic camera: its pattern, and the number painted in it."""

from fractions import Fraction

import cv2
import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.stream.source import open_source
from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers.media import (
    numbered_frame,
)
from tests.helpers.reading import until_error


def test_synthetic_camera_is_deterministic_and_moves() -> None:
    uri = "synth://pattern?size=40x32&fps=10&frames=3"
    first, _ = until_error(open_source(uri))
    again, _ = until_error(open_source(uri))
    assert len(first) == 3
    assert all((a.pixels_hwc == b.pixels_hwc).all() for a, b in zip(first, again, strict=True))
    assert (first[0].pixels_hwc[20:] != first[1].pixels_hwc[20:]).any()
    assert first[2].pts * first[2].time_base == Fraction(1, 5)


@pytest.mark.parametrize("size", ["16x16", "61x39", "320x180", "1920x1080"])
@pytest.mark.parametrize("scale", [1, 4])
def test_counter_is_read_back_after_enlargement_and_blur(size: str, scale: int) -> None:
    width, height = map(int, size.split("x"))
    source = open_source(f"synth://pattern?size={size}&frames=20")
    frame = list(source)[19]
    large = cv2.resize(frame.pixels_hwc, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    assert read_counter(large, width, height) == 19


def test_spoilt_counter_is_not_taken_for_a_number() -> None:
    frame_hwc = numbered_frame(5)
    frame_hwc[0:3, 0:3] = 255 - frame_hwc[0:3, 0:3]
    assert read_counter(frame_hwc, 64, 48) is None


@pytest.mark.parametrize(
    "uri",
    [
        "synth://plasma",
        "synth://pattern?colour=red",
        "synth://pattern?size=8x8",
        "synth://pattern?size=wide",
        "synth://pattern?fps=0",
        "synth://pattern?frames=-1",
        "synth://pattern?live=yes",
    ],
)
def test_bad_synthetic_uri_is_a_usage_error(uri: str) -> None:
    with pytest.raises(UsageError):
        open_source(uri)
