"""When the next frame begins: at once, after a pause, or when a camera would give it."""

import math
import threading
from collections.abc import Callable

from crispstream.core.clock import Clock

SLOWEST_FPS, FASTEST_FPS = 1 / 3600, 1e6
LONGEST_IDLE_MS = 3_600_000.0
_AT_ONCE_SECONDS = 0.2
"""Sleeps are not longer, so that whoever asks for the end waits for no more."""


class Pace:
    """Waits before each frame; threads use it one after the other, never at once.

    On the grid of a camera the process sleeps until the next point: cores and the GPU then clock
    down as they do in a real stream. Points that pass while a frame is under way are skipped, as by
    a stream in which the newest frame wins.

    >>> from crispstream.core.clock import FakeClock
    >>> clock = FakeClock()
    >>> pace = Pace(50, 0, clock, lambda seconds: clock.advance(round(seconds * 1e9)))
    >>> pace.wait()  # the grid begins here
    True
    >>> clock.advance(25_000_000)
    >>> pace.wait(), clock()
    (True, 40000000)
    """

    def __init__(
        self,
        fps: float | None,
        idle_ms: float,
        clock: Clock,
        sleep: Callable[[float], None],
        stop: threading.Event | None = None,
    ) -> None:
        """Take the camera's rate, or None for frames that follow each other after a pause.

        Args:
            fps: from `SLOWEST_FPS` to `FASTEST_FPS`.
            idle_ms: pause before each frame, at most `LONGEST_IDLE_MS`; for frames without a rate.
            clock: times the waiting.
            sleep: waits for so many seconds, by that clock.
            stop: set, it ends the waiting.
        """
        self._period_ns = None if fps is None else 1e9 / fps
        self._idle_ns = round(idle_ms * 1e6)
        self._clock = clock
        self._sleep = sleep
        self._stop = stop or threading.Event()
        self._begun_ns: int | None = None

    def wait(self) -> bool:
        """Return True when the next frame is to begin; False once the stop is set."""
        until_ns = self._due_ns()
        # Not by the event's own wait: a signal's handler sets it, and would meet its lock there.
        while not self._stop.is_set():
            left_ns = until_ns - self._clock()
            if left_ns <= 0:
                return True
            self._sleep(min(left_ns / 1e9, _AT_ONCE_SECONDS))
        return False

    def _due_ns(self) -> int:
        now_ns = self._clock()
        if self._period_ns is None:
            return now_ns + self._idle_ns
        if self._begun_ns is None:
            self._begun_ns = now_ns
            return now_ns
        points = math.floor((now_ns - self._begun_ns) / self._period_ns) + 1
        return self._begun_ns + math.ceil(points * self._period_ns)
