"""When the next frame begins: at once, after a pause, or when a camera would give it."""

import math
from collections.abc import Callable

from crispstream.core.clock import Clock


class Pace:
    """Waits before each frame; threads use it one after the other, never at once.

    On the grid of a camera the process sleeps until the next point: cores and the GPU then clock
    down as they do in a real stream. Points that pass while a frame is under way are skipped, as by
    a stream in which the newest frame wins.

    >>> from crispstream.core.clock import FakeClock
    >>> clock = FakeClock()
    >>> pace = Pace(50, 0, clock, lambda seconds: clock.advance(round(seconds * 1e9)))
    >>> pace.wait()  # the grid begins here
    >>> clock.advance(25_000_000)
    >>> pace.wait()
    >>> clock()
    40000000
    """

    def __init__(
        self, fps: float | None, idle_ms: float, clock: Clock, sleep: Callable[[float], None]
    ) -> None:
        """Take the camera's rate, or None for frames that follow each other after a pause."""
        self._period_ns = None if fps is None else 1e9 / fps
        self._idle_seconds = idle_ms / 1e3
        self._clock = clock
        self._sleep = sleep
        self._begun_ns: int | None = None

    def wait(self) -> None:
        """Return when the next frame is to begin."""
        if self._period_ns is None:
            if self._idle_seconds:
                self._sleep(self._idle_seconds)
            return
        now_ns = self._clock()
        if self._begun_ns is None:
            self._begun_ns = now_ns
            return
        points = math.floor((now_ns - self._begun_ns) / self._period_ns) + 1
        self._sleep((self._begun_ns + points * self._period_ns - now_ns) / 1e9)
