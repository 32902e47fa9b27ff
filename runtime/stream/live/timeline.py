"""One line of time for the whole life of a source, whatever the clocks of its feeds do."""

import logging
from fractions import Fraction

TIME_BASE = Fraction(1, 90_000)
"""Seconds per tick of the line: what RTP and MPEG count video in."""

JUMP_SECONDS = 3.0
"""A feed's clock that moves on by so much more than ours has jumped: a network that stood still
and hurries afterwards stays below, since reads do not wait longer than that."""

_log = logging.getLogger("crispstream.stream")


class Timeline:
    """Gives every picture a time that is larger than the one before.

    Between good timestamps of one feed it keeps their exact distances; where they repeat, go
    back, leap ahead or are missing, and between two feeds, the capture times' distance counts.

    Attributes:
        jumps: how often a feed's clock leapt, back or ahead.
    """

    def __init__(self, name: str = "") -> None:
        """`name` is of the source in the log, without credentials."""
        self.jumps = 0
        self._name = name
        self._ticks_per_unit = Fraction(1)
        self._ticks: int | None = None
        self._captured_ns = 0
        self._pts: int | None = None
        self._offset_ticks = 0

    def restart(self, time_base: Fraction) -> None:
        """Begin with a new feed, whose timestamps have nothing to do with those before."""
        self._ticks_per_unit = time_base / TIME_BASE
        self._pts = None

    def ticks(self, units: int) -> int:
        """Return a duration of the feed in ticks of the line."""
        return round(units * self._ticks_per_unit)

    def place(self, pts: int | None, captured_ns: int) -> int:
        """Return the time of a picture in ticks, given its feed's `pts` and our clock's time."""
        previous, wall = self._ticks, self._wall_ticks(captured_ns)
        if previous is None:
            ticks = self._anchor(pts, 0)
        elif pts is None:
            ticks = previous + wall
        elif self._pts is None:
            ticks = self._anchor(pts, previous + wall)
        else:
            ticks = self._follow(pts, pts - self._pts, previous, wall)
        if pts is not None:
            self._pts = pts
        self._ticks, self._captured_ns = ticks, captured_ns
        return ticks

    def _wall_ticks(self, captured_ns: int) -> int:
        """Return the distance of two capture times, at least 1."""
        return max(1, round((captured_ns - self._captured_ns) / 1e9 / TIME_BASE))

    def _anchor(self, pts: int | None, ticks: int) -> int:
        """Let the feed's `pts` stand at `ticks` from now on."""
        if pts is not None:
            self._offset_ticks = ticks - self.ticks(pts)
        return ticks

    def _follow(self, pts: int, step: int, previous: int, wall: int) -> int:
        """Return the time of a picture that comes `step` units after the one before."""
        limit = round(JUMP_SECONDS / TIME_BASE)
        if not -limit < self.ticks(step) <= wall + limit:
            self._note_jump(step)
            return self._anchor(pts, previous + wall)
        if step <= 0:  # not anchored: the next good timestamp is right again
            return previous + wall
        ticks = self.ticks(pts) + self._offset_ticks
        if ticks > previous:
            return ticks
        return self._anchor(pts, previous + max(1, self.ticks(step)))

    def _note_jump(self, step: int) -> None:
        self.jumps += 1
        seconds = float(self.ticks(step) * TIME_BASE)
        _log.warning(
            "%s: its clock jumped by %+.1f s; its frames go on evenly", self._name, seconds
        )
