"""How fast a live source gives frames, learnt from them where it does not say."""

from collections import deque

from crispstream.runtime.frame import Frame

_LATEST = 30
"""Frames over which it is averaged: a network lets them come in bursts."""
_ENOUGH = 10


class Pace:
    """The time between two frames of a live source.

    >>> pace, second = Pace(), 1_000_000_000
    >>> for serial in range(0, 20, 2):  # every second frame was dropped on the way
    ...     interval_ns = pace.note(Frame(None, serial, 0, None, serial * second // 25))
    >>> interval_ns
    40000000
    """

    def __init__(self) -> None:
        """Begin without a frame."""
        self._seen: deque[tuple[int, int]] = deque(maxlen=_LATEST)

    def note(self, frame: Frame) -> int | None:
        """Take note of a frame, and return the interval in ns; None until there are enough.

        Frames that were dropped before it count too: their serial numbers are missing.
        """
        if frame.fresh:  # the time without a connection is none between two frames
            self._seen.clear()
        self._seen.append((frame.serial, frame.captured_ns))
        if len(self._seen) < _ENOUGH:
            return None
        (first, first_ns), (last, last_ns) = self._seen[0], self._seen[-1]
        return max(1, (last_ns - first_ns) // max(1, last - first))
