"""A counter and a time painted into a picture, for measuring from glass to glass.

A bar over the whole width at the top of the picture, a ninth of its height: 40 columns by 2
rows of black and white cells. In order, most significant bit first:

    4 bits    white, black, black, white: tells that there is a bar, and how bright its cells are
    24 bits   a counter of frames
    36 bits   the time, in steps of 10 us
    16 bits   check sum of counter and time (CRC-16/CCITT, as `binascii.crc_hqx` counts it)

At 320x180 a cell is 8x10 pixels, which survives enlargement, compression and resizing.

The time is of the machine's monotonic clock (CLOCK_MONOTONIC on Linux, which every process of a
machine shares), because no correction of the date can make it jump: painter and reader may be
two processes of one machine, with a network between them or not, but not two machines. It
wraps after 7.9 days; ages are right up to half of that.
"""

import binascii
from typing import NamedTuple

from crispstream.core.pixels import Bytes

from .cells import Grid

COUNTERS = 2**24
"""The counter goes from 0 to below this, and round."""
WRAP_NS = 2**36 * 10_000
"""The time goes round after so long, 7.9 days."""
SMALLEST_WIDTH, SMALLEST_HEIGHT = 120, 54
"""Pixels; in a smaller picture the cells would be under 3 pixels a side."""

_STEP_NS = 10_000
_TIME_BITS, _CHECK_BITS = 36, 16
_BAR = Grid(columns=40, rows=2, width=1.0, height=1 / 9)
_MARK = 0b1001
_LEAST_CONTRAST = 64
"""Grey levels between black and white cells; a bar that lost more is no bar."""


class Timecode(NamedTuple):
    """What a bar says."""

    counter: int
    """Of frames, below `COUNTERS`."""
    time_ns: int
    """When the picture was taken, below `WRAP_NS`, in steps of 10 us."""

    def age_ns(self, now_ns: int) -> int:
        """Return how long ago that was; negative if the time lies ahead.

        `now_ns` is of the clock that was painted, not wrapped.

        >>> Timecode(0, 5_000_000).age_ns(WRAP_NS + 7_000_000)
        2000000
        """
        return (now_ns - self.time_ns + WRAP_NS // 2) % WRAP_NS - WRAP_NS // 2


def paint(frame_hwc: Bytes, counter: int, time_ns: int) -> None:
    """Paint counter and time into the top of a frame, in place.

    Args:
        frame_hwc: uint8 [H,W,3] of at least `SMALLEST_WIDTH` x `SMALLEST_HEIGHT` pixels.
        counter: wraps at `COUNTERS`.
        time_ns: of a clock; wraps at `WRAP_NS`.
    """
    payload = counter % COUNTERS << _TIME_BITS | time_ns % WRAP_NS // _STEP_NS
    _BAR.paint(frame_hwc, (_MARK << 60 | payload) << _CHECK_BITS | _check_sum(payload))


def read(image_hwc: Bytes) -> Timecode | None:
    """Return what is painted in a picture of any size, uint8 [H,W,3], or None.

    None without a bar, or if it is spoilt: one picture in a million of noise would be taken
    for one.

    >>> import numpy as np
    >>> frame = np.zeros((180, 320, 3), np.uint8)
    >>> paint(frame, 1234, 5_678_900_000)
    >>> read(frame)
    Timecode(counter=1234, time_ns=5678900000)
    """
    levels = _BAR.levels(image_hwc)
    white, black = (levels[0, 0] + levels[0, 3]) / 2, (levels[0, 1] + levels[0, 2]) / 2
    if white - black < _LEAST_CONTRAST:
        return None
    word = _BAR.word(levels, (white + black) / 2)
    payload = word >> _CHECK_BITS & 2**60 - 1
    if word >> 76 != _MARK or _check_sum(payload) != word & 2**_CHECK_BITS - 1:
        return None
    return Timecode(payload >> _TIME_BITS, payload % 2**_TIME_BITS * _STEP_NS)


def _check_sum(payload: int) -> int:
    return binascii.crc_hqx(payload.to_bytes(8, "big"), 0xFFFF)
