"""A constant frame rate made of frames that come when they like.

Slot k of the grid is at exactly k / rate seconds on the source's own time line, counted in
whole numbers: after an hour, or a year, a picture is still within half a slot of its time, and
of its sound.
"""

from fractions import Fraction
from typing import NamedTuple


class Placement(NamedTuple):
    """What to write when a frame comes."""

    repeats: range
    """Slots that the picture before it fills once more."""
    slot: int | None
    """The slot of the frame itself; None if it is left out, for another one has its slot."""


class FrameGrid:
    """Places frames on the nearest slots, in order."""

    def __init__(self, rate: Fraction, time_base: Fraction, *, longest_fill_seconds: float) -> None:
        """Make a grid of `rate` slots a second for times in units of `time_base` seconds.

        A gap longer than `longest_fill_seconds` stays one: repeating a picture through a night
        without a camera would take hours itself.
        """
        slots_a_unit = rate * time_base
        self._numerator = slots_a_unit.numerator
        self._denominator = slots_a_unit.denominator
        self._longest_fill = round(rate * Fraction(longest_fill_seconds))
        self._next: int | None = None

    def nearest(self, pts: int) -> int:
        """Return the slot nearest to a time.

        >>> grid = FrameGrid(Fraction(25), Fraction(1, 1000), longest_fill_seconds=60)
        >>> grid.nearest(0), grid.nearest(59), grid.nearest(60)
        (0, 1, 2)
        """
        return (2 * pts * self._numerator + self._denominator) // (2 * self._denominator)

    def place(self, pts: int) -> Placement:
        """Return where a frame goes; times grow from call to call."""
        slot = self.nearest(pts)
        if self._next is None:
            self._next = slot
        if slot < self._next:
            return Placement(range(0), None)
        repeats = self._repeats(slot)
        self._next = slot + 1
        return Placement(repeats, slot)

    def rest(self, end_pts: int) -> range:
        """Return the slots that the last picture fills up to the end of its time."""
        return self._repeats(self.nearest(end_pts))

    def _repeats(self, end: int) -> range:
        begin = end if self._next is None else self._next
        return range(begin, end) if end - begin <= self._longest_fill else range(0)


def exact_rate(frames_per_second: float) -> Fraction:
    """Return the frame rate somebody means by a decimal number.

    Television's rates are 1000/1001 of a whole number, and usually written with two or three
    decimals (SMPTE ST 12-1).

    >>> exact_rate(29.97), exact_rate(23.976), exact_rate(12.5), exact_rate(30)
    (Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 2), Fraction(30, 1))
    """
    television = Fraction(1000 * round(frames_per_second * 1.001), 1001)
    if frames_per_second % 1 and abs(television - Fraction(frames_per_second)) < Fraction(1, 200):
        return television
    return Fraction(frames_per_second).limit_denominator(1000)
