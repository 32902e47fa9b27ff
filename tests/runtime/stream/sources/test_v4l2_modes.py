"""Which of a camera's modes is taken."""

from fractions import Fraction

import pytest

from crispstream.runtime.stream.sources.v4l2_device import Mode
from crispstream.runtime.stream.sources.v4l2_modes import best_mode, modes_text

_THIRTY, _TEN, _FIVE = Fraction(30), Fraction(10), Fraction(5)
_SMALL, _LARGE = (640, 480), (1280, 720)
# A usual USB webcam.
_MODES = [
    Mode(*_SMALL, _THIRTY, "MJPG"),
    Mode(*_SMALL, _THIRTY, "YUYV"),
    Mode(*_LARGE, _THIRTY, "MJPG"),
    Mode(*_LARGE, _TEN, "YUYV"),
    Mode(*_LARGE, _TEN, "H264"),
]


@pytest.mark.parametrize(
    ("size", "rate", "expected"),
    [
        (_SMALL, None, "YUYV"),  # raw where it is fluent
        (_LARGE, None, "MJPG"),  # compressed where raw is not
        (_LARGE, 10, "YUYV"),
        (_LARGE, 29.97, "MJPG"),
        (None, 10, "YUYV"),
    ],
)
def test_raw_is_taken_where_it_reaches_the_rate(
    size: tuple[int, int] | None, rate: float | None, expected: str
) -> None:
    mode = best_mode(_MODES, size, rate)
    assert mode is not None
    assert mode.pixel_format == expected


def test_the_fastest_is_taken_where_none_is_fluent() -> None:
    slow = [Mode(*_LARGE, _FIVE, "YUYV"), Mode(*_LARGE, _TEN, "MJPG")]
    assert best_mode(slow, _LARGE, None) == slow[1]


def test_what_is_not_there_or_cannot_be_read_is_not_taken() -> None:
    assert best_mode(_MODES, (320, 240), None) is None
    assert best_mode(_MODES, _SMALL, 60) is None
    assert best_mode(_MODES[-1:], _LARGE, None) is None


def test_modes_are_told_by_size_largest_first() -> None:
    assert modes_text(_MODES) == "1280x720 at 30, 640x480 at 30"
    assert (
        modes_text([Mode(8 * n, 8, None, "YUYV") for n in range(1, 20)], 2) == "152x8, 144x8, ..."
    )
